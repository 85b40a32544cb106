/** Git over smart HTTP: what is asked, what of it policy must allow, and how a no is said. */
import type { GitContained, Header } from "#durable/format/frame.ts";
import type { GitFetch, GitOperation, GitPush, GitRefs, GitService } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { type Body, peek } from "#workers/wire/body.ts";
import { gunzip, isGzip } from "#workers/wire/gzip.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import type { Adapter, Flawed, Incoming, Inspected } from "../adapter.ts";
import { ADVERTISEMENT_MAX, askForWholePacks, stripAdvertisement, stripWhole } from "./advertisement.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { movedSince } from "./hold/moved.ts";
import { fetchContent, waitingOf } from "./hold/waiting.ts";
import { isLfs } from "./lfs/endpoint.ts";
import { forwardLfs } from "./lfs/forward.ts";
import { inspectLfs, type LfsInspected } from "./lfs/inspect.ts";
import { isFlush } from "./pkt-line.ts";
import { inspectPush } from "./push/inspect.ts";
import { inspectedOf } from "./push/inspected.ts";
import { questionsOf } from "./questions.ts";
import { probed, refuseGit } from "./refuse.ts";
import { decodeUploadPack } from "./upload-pack.ts";

/** Longest request to git-upload-pack, as sent and inflated. Negotiations over large histories take megabytes. */
export const FETCH_MAX = 16 * 1024 * 1024;

/** Longer than anything here waits: git itself never gives up. */
const PATIENCE_SECONDS = 86_400;

type GitInspected = Inspected<GitOperation, GitContained>;

/** Fields git's protocol uses; whatever else a client sends means nothing to the server and might mean too much. */
const PASSED = new Set([
  "content-type",
  "content-encoding",
  "accept",
  "accept-encoding",
  "accept-language",
  "user-agent",
  "pragma",
]);

export const gitAdapter: Adapter<GitOperation, GitContained> = {
  kind: "git",

  async inspect(incoming: Incoming): Promise<GitInspected | Flawed<GitOperation>> {
    const { request, connection } = incoming;
    if (isLfs(incoming.path)) return inspectLfs(incoming);
    const endpoint = endpointOf(request.method, incoming.path, incoming.query);
    const version = versionOf(request.headers, endpoint.service);
    const outgoing = {
      method: request.method,
      path: endpoint.path,
      headers: outgoingHeaders(request, endpoint, version),
    };
    if (endpoint.step === "refs") {
      const { repository, service } = endpoint;
      const operation: GitRefs = { kind: "git.refs", repository, service, version };
      return {
        operation,
        questions: questionsOf(operation, connection),
        outgoing,
        body: { kind: "none" },
        frames: [],
      };
    }
    if (request.headers.get("content-type") !== `application/x-${endpoint.service}-request`)
      throw new Refusal("malformed", `The request's content type is not that of ${endpoint.service}.`);
    if (endpoint.service === "git-receive-pack") return inspectPush(incoming, endpoint, outgoing);
    const { body, operation } = await decodeFetch(incoming, endpoint, version);
    const inspected = inspectedOf(operation, [], { connection, outgoing, body });
    return operation.kind === "git.fetch" ? { ...inspected, content: fetchContent(operation) } : inspected;
  },

  async forward(
    inspected: GitInspected,
    send: (inspected: GitInspected) => Promise<Response>,
  ): Promise<Response> {
    const { operation } = inspected;
    switch (operation.kind) {
      case "git.probe":
        return probed(operation.service);
      case "git.lfs/download":
      case "git.lfs/upload":
      case "git.lfs/locks":
        return forwardLfs(inspected as LfsInspected, operation, send);
      case "git.refs":
      case "git.fetch":
      case "git.push":
        return forwardSmart(inspected, serviceOf(operation), send);
    }
  },

  waiting: ({ operation }) => waitingOf(operation),

  patience: ({ operation }) => (operation.kind === "git.fetch" ? PATIENCE_SECONDS : undefined),

  again: ({ operation, outgoing }, connection) =>
    operation.kind === "git.push" ? movedSince(operation, { connection, outgoing }) : undefined,

  refuse: refuseGit,
};

async function forwardSmart(
  inspected: GitInspected,
  service: GitService,
  send: (inspected: GitInspected) => Promise<Response>,
): Promise<Response> {
  const { outgoing } = inspected;
  const step = outgoing.method === "GET" ? "advertisement" : "result";
  const response = await send(inspected);
  await checkAnswer(response, `application/x-${service}-${step}`);
  if (step === "result" || !response.body) return response;
  if (response.headers.has("content-encoding"))
    throw await refused(response, "The git server sent an advertisement that is compressed.");
  const declared = Number(response.headers.get("content-length") ?? Number.NaN);
  if (service === "git-receive-pack") {
    const { stream, added } = await askForWholePacks(response.body);
    return added === 0
      ? answer(stream, response.headers)
      : rewritten(stream, declared + added, response.headers);
  }
  if (declared <= ADVERTISEMENT_MAX) {
    const whole = new Uint8Array(await response.arrayBuffer());
    if (whole.byteLength !== declared)
      throw new Refusal("upstream_protocol", "The git server's advertisement ended early.");
    const bytes = stripWhole(whole);
    return bytes ? rewritten(bytes, bytes.byteLength, response.headers) : answer(whole, response.headers);
  }
  const passed = await stripAdvertisement(response.body);
  if (passed.kind === "v0") return answer(passed.stream, response.headers);
  return rewritten(passed.bytes, passed.bytes.byteLength, response.headers);
}

async function decodeFetch(
  { request, stallSeconds }: Incoming,
  { repository, service }: Endpoint,
  version: 0 | 1 | 2,
): Promise<{ readonly operation: GitOperation; readonly body: Body }> {
  const body = await peek(request, FETCH_MAX, stallSeconds, () => false);
  if (body.kind === "none") throw new Refusal("malformed", "The request has no body.");
  const ended = body.kind === "whole";
  const held = ended ? body.bytes : body.prefix;
  const bytes = isGzip(request.headers) ? gunzip(held, ended, FETCH_MAX) : held;
  if (ended && isFlush(bytes)) return { operation: { kind: "git.probe", repository, service }, body };
  if (!ended) throw new Refusal("too_large", "The fetch asks for more than this gateway reads.");
  return { operation: decodeUploadPack(repository, version, bytes), body };
}

/** As servers read it: the highest version named (gitprotocol-v2(5)); pushes know no v2, and all else falls back to v0. */
function versionOf(headers: Headers, service: GitService): 0 | 1 | 2 {
  const named = (headers.get("git-protocol") ?? "").split(":");
  if (named.includes("version=2")) return service === "git-upload-pack" ? 2 : 0;
  return named.includes("version=1") ? 1 : 0;
}

/** Git-Protocol is written anew, so that no server reads another version out of it than was decoded here. */
function outgoingHeaders(request: Request, endpoint: Endpoint, version: 0 | 1 | 2): readonly Header[] {
  const kept = requestHeaders(request.headers).filter(([name]) => PASSED.has(name));
  const rewritten = endpoint.step === "refs";
  const headers = rewritten ? kept.filter(([name]) => name !== "accept-encoding") : kept;
  const encoding: Header[] = rewritten ? [["accept-encoding", "identity"]] : [];
  const protocol: Header[] = version === 0 ? [] : [["git-protocol", `version=${version}`]];
  return [...headers, ...encoding, ...protocol];
}

/** Throws unless the server answered in its protocol: a challenge, a redirect or a page must not reach the agent as one. */
async function checkAnswer(response: Response, type: string): Promise<void> {
  const { status } = response;
  const answered = response.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (status === 200 && answered === type) return;
  if (status === 200) throw await refused(response, "The git server's answer is not smart HTTP.");
  if (status === 401 || status === 407)
    throw await refused(response, "The git server did not accept the gateway's credential.");
  if (status === 403) throw await refused(response, "The git server does not let the gateway do this (403).");
  if (status === 404) throw await refused(response, "The git server has no such repository (404).");
  if (status >= 300 && status < 400)
    throw await refused(
      response,
      "The git server answers with a redirect, which the gateway does not follow.",
    );
  throw await refused(response, `The git server answered ${status}.`);
}

async function refused(response: Response, message: string): Promise<Refusal> {
  await response.body?.cancel();
  return new Refusal("upstream_protocol", message);
}

/** What was said of the bytes as they were is not true of these. */
function rewritten(body: BodyInit, length: number, original: Headers): Response {
  const headers = new Headers(original);
  for (const name of ["etag", "last-modified", "content-md5", "digest"]) headers.delete(name);
  if (Number.isNaN(length)) headers.delete("content-length");
  else headers.set("content-length", String(length));
  return answer(body, headers);
}

/** `encodeBody` is workerd's: bytes that are already encoded pass as they are. Other runtimes ignore it. */
function answer(body: BodyInit | null, headers: Headers): Response {
  const init = { status: 200, headers, encodeBody: "manual" } as const;
  return new Response(body, init);
}

function serviceOf(operation: GitRefs | GitFetch | GitPush): GitService {
  switch (operation.kind) {
    case "git.refs":
      return operation.service;
    case "git.fetch":
      return "git-upload-pack";
    case "git.push":
      return "git-receive-pack";
  }
}
