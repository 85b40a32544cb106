/** Git over smart HTTP: what is asked, what of it policy must allow, and how a no is said. */
import type { Header } from "#durable/format/frame.ts";
import type { GitOperation, GitPush, GitRefs, GitService } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { type Body, peek } from "#workers/wire/body.ts";
import { gunzip, isGzip } from "#workers/wire/gzip.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import type { Adapter, Incoming, Inspected } from "../adapter.ts";
import { ADVERTISEMENT_MAX, stripAdvertisement, stripWhole } from "./advertisement.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { abridged, pushFrames } from "./frames.ts";
import { ancestryFetch, ancestryQuery, ancestryRequest, settleUpdate } from "./history/ancestry.ts";
import { refUpdates } from "./history/ref-update.ts";
import { type PackContents, readPack } from "./pack/pack.ts";
import { questionsOf } from "./questions.ts";
import { decodePush, type ObjectFormat } from "./receive-pack.ts";
import { probed, refuseGit } from "./refuse.ts";
import { decodeUploadPack } from "./upload-pack.ts";

/** How much of a push is held to decide upon it; its commands and leading commits are in there, or it is refused. */
export const PUSH_PREFIX = 4 * 1024 * 1024;
/** Longest request to git-upload-pack, as sent and inflated. Negotiations over large histories take megabytes. */
export const FETCH_MAX = 16 * 1024 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;
type GitInspected = Inspected<GitOperation>;
type Decoded = Pick<GitInspected, "operation" | "frames"> & { readonly pushed?: Pushed };
/** What a push brought, for as long as its effect on history is not settled. */
type Pushed = { readonly contents: PackContents; readonly format: ObjectFormat };

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

export const gitAdapter: Adapter<GitOperation> = {
  kind: "git",

  async inspect(incoming: Incoming): Promise<GitInspected> {
    const { request, connection } = incoming;
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
    const { body, operation, frames, pushed } = await decode(incoming, endpoint, version);
    const inspected = inspectedOf(operation, frames, { connection, outgoing, body });
    if (operation.kind !== "git.push" || !pushed) return inspected;
    return unsettled(inspected, operation, pushed, { connection, outgoing, body }, new Set());
  },

  async forward(
    inspected: GitInspected,
    send: (inspected: GitInspected) => Promise<Response>,
  ): Promise<Response> {
    const { operation, outgoing } = inspected;
    if (operation.kind === "git.probe") return probed(operation.service);
    const service = serviceOf(operation);
    const step = outgoing.method === "GET" ? "advertisement" : "result";
    const response = await send(inspected);
    await checkAnswer(response, `application/x-${service}-${step}`);
    if (step === "result" || service === "git-receive-pack" || !response.body) return response;
    if (response.headers.has("content-encoding"))
      throw await refused(response, "The git server sent an advertisement that is compressed.");
    const declared = Number(response.headers.get("content-length") ?? Number.NaN);
    if (declared <= ADVERTISEMENT_MAX) {
      const whole = new Uint8Array(await response.arrayBuffer());
      if (whole.byteLength !== declared)
        throw new Refusal("upstream_protocol", "The git server's advertisement ended early.");
      const bytes = stripWhole(whole);
      return bytes ? rewritten(bytes, response.headers) : answer(whole, response.headers);
    }
    const passed = await stripAdvertisement(response.body);
    if (passed.kind === "v0") return answer(passed.stream, response.headers);
    return rewritten(passed.bytes, response.headers);
  },

  refuse: refuseGit,
};

type Around = Pick<Incoming, "connection"> & Pick<GitInspected, "outgoing" | "body">;

function inspectedOf(
  operation: GitOperation,
  frames: GitInspected["frames"],
  { connection, outgoing, body }: Around,
): GitInspected {
  const short = abridged(operation);
  const questions = questionsOf(operation, connection);
  return { operation, ...(short && { abridged: short }), questions, outgoing, body, frames };
}

/** The push with what to ask the server next, as long as an update might still prove to keep history. */
function unsettled(
  inspected: GitInspected,
  push: GitPush,
  pushed: Pushed,
  around: Around,
  looked: ReadonlySet<string>,
): GitInspected {
  const { contents, format } = pushed;
  const query = ancestryQuery(push.updates, contents.commits, looked);
  if (!query) return inspected;
  const fetch = ancestryFetch(push.repository, query, format);
  const path = around.outgoing.path.replace(/git-receive-pack$/, "git-upload-pack");
  const headers: Header[] = [
    ["content-type", "application/x-git-upload-pack-request"],
    ["accept", "application/x-git-upload-pack-result"],
    ["git-protocol", "version=2"],
  ];
  const body = { kind: "whole", bytes: ancestryRequest(query, format) } as const;
  const outgoing = { method: "POST", path, headers };
  const look = inspectedOf(fetch, [], { connection: around.connection, outgoing, body });
  const settle = (answer: Bytes | undefined): GitInspected => {
    const settledUpdate = settleUpdate(query, contents.commits, answer, format);
    const updates = push.updates.map((update) => (update === query.update ? settledUpdate : update));
    const next = { ...push, updates };
    const frames = pushFrames(updates, settled(contents, updates));
    return unsettled(
      inspectedOf(next, frames, around),
      next,
      pushed,
      around,
      new Set([...looked, query.update.ref]),
    );
  };
  return { ...inspected, unsettled: { look, settle } };
}

async function decode(
  { request, stallSeconds }: Incoming,
  endpoint: Endpoint,
  version: 0 | 1 | 2,
): Promise<Decoded & { readonly body: Body }> {
  const { repository, service } = endpoint;
  const type = request.headers.get("content-type");
  if (type !== `application/x-${service}-request`) {
    throw new Refusal("malformed", `The request's content type is not that of ${service}.`);
  }
  const gzip = isGzip(request.headers);
  const limit = service === "git-upload-pack" ? FETCH_MAX : PUSH_PREFIX;
  const body = await peek(request, limit, stallSeconds, () => false);
  if (body.kind === "none") throw new Refusal("malformed", "The request has no body.");
  const ended = body.kind === "whole";
  const held = ended ? body.bytes : body.prefix;
  const bytes = gzip
    ? gunzip(held, ended, service === "git-upload-pack" ? FETCH_MAX : 4 * PUSH_PREFIX)
    : held;
  if (ended && isFlush(bytes))
    return { operation: { kind: "git.probe", repository, service }, frames: [], body };
  if (service === "git-receive-pack") return { ...push(repository, bytes, ended), body };
  if (!ended) throw new Refusal("too_large", "The fetch asks for more than this gateway reads.");
  return { operation: decodeUploadPack(repository, version, bytes), frames: [], body };
}

function push(repository: string, bytes: Bytes, ended: boolean): Decoded {
  const { commands, capabilities, options, format, packAt } = decodePush(bytes, ended);
  const contents = packAt === undefined ? undefined : readPack(bytes.subarray(packAt), ended, format);
  const updates = refUpdates(commands, contents?.commits ?? []);
  const atomic = capabilities.includes("atomic");
  const operation: GitPush = { kind: "git.push", repository, updates, capabilities, options, atomic };
  const frames = pushFrames(updates, contents && settled(contents, updates));
  return { operation, frames, ...(contents && { pushed: { contents, format } }) };
}

/**
 * Deltas of objects the server has are common in trees and blobs, and could hide a commit. They cannot when every commit
 * the pushed history needs is in the pack, or is what the ref pointed to before: then none is listed as unread.
 */
function settled(contents: PackContents, updates: GitPush["updates"]): PackContents {
  const { summary, commits } = contents;
  const known = new Set([...commits.map(({ id }) => id), ...updates.map(({ old }) => old)]);
  const needed = [
    ...updates.filter(({ change }) => change !== "delete").map((update) => update.new),
    ...commits.flatMap(({ parents }) => parents),
  ];
  return needed.every((id) => known.has(id)) ? { summary: { ...summary, unread: [] }, commits } : contents;
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
  const rewritten = endpoint.step === "refs" && endpoint.service === "git-upload-pack";
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
function rewritten(bytes: Bytes, original: Headers): Response {
  const headers = new Headers(original);
  for (const name of ["etag", "last-modified", "content-md5", "digest"]) headers.delete(name);
  headers.set("content-length", String(bytes.byteLength));
  return answer(bytes, headers);
}

/** `encodeBody` is workerd's: bytes that are already encoded pass as they are. Other runtimes ignore it. */
function answer(body: BodyInit | null, headers: Headers): Response {
  const init = { status: 200, headers, encodeBody: "manual" } as const;
  return new Response(body, init);
}

const isFlush = (bytes: Bytes): boolean => bytes.byteLength === 4 && bytes.every((byte) => byte === 0x30);

function serviceOf(operation: Exclude<GitOperation, { kind: "git.probe" }>): GitService {
  switch (operation.kind) {
    case "git.refs":
      return operation.service;
    case "git.fetch":
      return "git-upload-pack";
    case "git.push":
      return "git-receive-pack";
  }
}
