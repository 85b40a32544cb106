// What an agent asks that is held, in each of the ways there are to wait for it.
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import type { HeldSite } from "./site.ts";

export type Answered = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
};

const agent = new Agent({ keepAlive: true });

export function post(
  url: string,
  body: object,
  headers: Readonly<Record<string, string>>,
  method = "POST",
): Promise<Answered> {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  const text = JSON.stringify(body);
  const own = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  const sent = request(
    url,
    { method, agent, headers: { ...(method === "POST" && own), ...headers } },
    (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => void parts.push(part));
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(parts).toString(),
        }),
      );
      response.once("error", reject);
    },
  );
  sent.once("error", reject);
  sent.end(method === "POST" ? text : undefined);
  return promise;
}

const bearer = ({ agentToken }: HeldSite) => ({ authorization: `Bearer ${agentToken}` });

/** A call of a tool: waits on its connection, 45 s at most. */
export const call = (site: HeldSite, mark: string): Promise<Answered> =>
  post(
    `${site.node.gateway()}/mcp-token/tools`,
    {
      jsonrpc: "2.0",
      id: Number.parseInt(mark.slice(1), 10),
      method: "tools/call",
      params: { name: "write", arguments: { text: mark } },
    },
    { ...bearer(site), accept: "application/json, text/event-stream" },
  );

/** A request to an API: answered 409 with its approval, to be sent again with that. */
export const write = (site: HeldSite, mark: string, approval?: string): Promise<Answered> =>
  post(
    `${site.node.gateway()}/http/notes/notes`,
    { text: mark },
    { ...bearer(site), ...(approval !== undefined && { "steno-approval": approval }) },
  );

/** A request to the same API that nobody holds. */
export const look = (site: HeldSite): Promise<Answered> =>
  post(`${site.node.gateway()}/http/notes/notes`, {}, bearer(site), "GET");

/** What became of an approval, told at the next event after those that were seen. */
export const news = (site: HeldSite, approval: string): Promise<Answered> =>
  post(`${site.node.gateway()}/v1/approvals/${approval}?wait=50`, {}, bearer(site), "GET");

/** A hook: waits 20 s at most, is answered 202 then, and asks again. */
export const hook = (site: HeldSite, mark: string): Promise<Answered> =>
  post(
    `${site.node.gateway()}/hooks/cursor`,
    {
      conversation_id: "bench",
      generation_id: "g1",
      hook_event_name: "beforeShellExecution",
      cursor_version: "2.0.0",
      workspace_roots: ["/home/robin/app"],
      command: `echo ${mark}`,
      cwd: "/home/robin/app",
    },
    { ...bearer(site), "user-agent": "steno-hook/cursor" },
  );
