// Presidio's analyzer as its REST API answers: the same paths, members and errors, offsets in code points; it knows two people and a town.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Asked = {
  readonly text?: string;
  readonly language?: string;
  readonly entities?: readonly string[];
  readonly score_threshold?: number;
};

export interface Presidio {
  readonly url: string;
  /** Bodies of `/analyze`, in order. */
  readonly asked: Asked[];
  /** What it answers instead, until this is taken back. `hang`: nothing. */
  wrong: undefined | "hang" | { readonly status: number; readonly body: string };
  stop(): Promise<void>;
}

const KNOWN = [
  { entity_type: "PERSON", pattern: /Ada Lovelace|Grace Hopper/gu, score: 0.85 },
  { entity_type: "LOCATION", pattern: /Zürich/gu, score: 0.4 },
] as const;
const ENTITIES = KNOWN.map((known) => known.entity_type);

export async function startPresidio(): Promise<Presidio> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => void answer(request, response));
  const said = (response: ServerResponse, status: number, body: string) =>
    response.writeHead(status, { "content-type": "application/json" }).end(body);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://presidio");
    if (request.method === "GET" && pathname === "/supportedentities")
      return searchParams.get("language") === "en"
        ? void said(response, 200, JSON.stringify(ENTITIES))
        : void said(response, 500, '{"error":"No matching recognizers were found to serve the request."}');
    if (request.method !== "POST" || pathname !== "/analyze")
      return void said(response, 404, '{"error":"The requested URL was not found on the server."}');
    const body = JSON.parse(Buffer.concat(parts).toString()) as Asked;
    asked.push(body);
    if (presidio.wrong === "hang") return;
    if (presidio.wrong) return void said(response, presidio.wrong.status, presidio.wrong.body);
    if (!body.text) return void said(response, 500, '{"error":"No text provided"}');
    if (body.language !== "en")
      return void said(response, 500, '{"error":"No matching recognizers were found to serve the request."}');
    said(response, 200, JSON.stringify(found(body.text, body)));
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const presidio: Presidio = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    wrong: undefined,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return presidio;
}

function found(text: string, { entities = ENTITIES, score_threshold = 0 }: Asked): readonly object[] {
  const points = (units: number) => [...text.slice(0, units)].length;
  return KNOWN.filter(
    ({ entity_type, score }) => entities.includes(entity_type) && score >= score_threshold,
  ).flatMap(({ entity_type, pattern, score }) =>
    [...text.matchAll(pattern)].map((match) => ({
      analysis_explanation: null,
      end: points(match.index + match[0].length),
      entity_type,
      recognition_metadata: { recognizer_name: "SpacyRecognizer" },
      score,
      start: points(match.index),
    })),
  );
}
