/** What a Git LFS request asks: JSON read strictly, objects held against what they are called. */
import { createHash } from "node:crypto";
import type { Header } from "#durable/format/frame.ts";
import type { GitLfsLocks, GitLfsTransfer, LfsObject } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { type Peeked, peek } from "#workers/wire/body.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import { isObject, type Json, type JsonObject, parseJson } from "#workers/wire/json/strict.ts";
import type { Incoming } from "../../adapter.ts";
import { type GitInspected, inspectedOf } from "../push/inspected.ts";
import { type LfsEndpoint, lfsEndpointOf, OBJECTS_MAX } from "./endpoint.ts";
import { LFS_JSON } from "./refuse.ts";
import { otherContent } from "./whole-object.ts";

/** A request with the origin under which its client knows the gateway: hrefs must be absolute. */
export type LfsInspected = GitInspected & { readonly origin: string };

/** Longest request that is JSON. */
const JSON_MAX = 1024 * 1024;
/** Uploads of up to this are held against their oid here; egress does it for longer ones, while they pass. */
const HELD = 256 * 1024;
const TEXT_MAX = 4_096;
const OID = /^[0-9a-f]{64}$/;

const PASSED: ReadonlySet<string> = new Set([
  "content-type",
  "accept",
  "accept-language",
  "user-agent",
  "range",
]);

type Operation = GitLfsTransfer | GitLfsLocks;

export async function inspectLfs(incoming: Incoming): Promise<LfsInspected> {
  const { request, connection } = incoming;
  const endpoint = lfsEndpointOf(request.method, incoming.path, incoming.query);
  if (request.headers.has("content-encoding"))
    throw new Refusal("malformed", "A Git LFS request is sent without a content encoding.");
  const { operation, body } = await read(incoming, endpoint);
  const kept = requestHeaders(request.headers).filter(([name]) => PASSED.has(name));
  // What is recorded, and what egress reads, is the content itself.
  const headers: Header[] = [...kept, ["accept-encoding", "identity"]];
  const outgoing = { method: request.method, path: endpoint.path, headers };
  return { ...inspectedOf(operation, [], { connection, outgoing, body }), origin: originOf(request) };
}

async function read(
  incoming: Incoming,
  { repository, step }: LfsEndpoint,
): Promise<{ readonly operation: Operation; readonly body: Peeked }> {
  switch (step.step) {
    case "batch": {
      const { body, json } = await jsonOf(incoming);
      return { operation: batchOf(repository, json), body };
    }
    case "verify": {
      const { body, json } = await jsonOf(incoming);
      const { oid, size } = objectOf(json);
      if (oid !== step.object.oid || size !== step.object.size)
        throw new Refusal("malformed", "The object to verify is not the one of its address.");
      return { operation: transferOf("upload", repository, step), body };
    }
    case "object": {
      const body =
        step.action === "download" ? await nothing(incoming) : await uploaded(incoming, step.object);
      return { operation: transferOf(step.action, repository, step), body };
    }
    case "locks":
      return readLocks(incoming, repository, step);
  }
}

async function readLocks(
  incoming: Incoming,
  repository: string,
  { method, id }: Extract<LfsEndpoint["step"], { readonly step: "locks" }>,
): Promise<{ readonly operation: GitLfsLocks; readonly body: Peeked }> {
  const kind = "git.lfs/locks";
  if (method === "list") {
    const path = new URLSearchParams(incoming.query).get("path") ?? undefined;
    const operation = { kind, repository, method, ...(path !== undefined && { path }) } as const;
    return { operation, body: await nothing(incoming) };
  }
  const { body, json } = await jsonOf(incoming);
  if (method === "create")
    return { operation: { kind, repository, method, path: textOf(json, "path") }, body };
  const force = json["force"] === true;
  return {
    operation: { kind, repository, method, ...(id !== undefined && { id }), ...(force && { force }) },
    body,
  };
}

function batchOf(repository: string, json: JsonObject): GitLfsTransfer {
  const { operation, objects, transfers, hash_algo: algorithm, ref } = json;
  if (operation !== "download" && operation !== "upload")
    throw new Refusal("malformed", "A batch is for download or upload.");
  if (algorithm !== undefined && algorithm !== "sha256")
    throw new Refusal("malformed", "Objects are named by their SHA-256 here.");
  if (transfers !== undefined && !(Array.isArray(transfers) && transfers.includes("basic")))
    throw new Refusal(
      "malformed",
      "Of Git LFS transfers only basic passes this gateway: let the client offer it.",
    );
  if (!Array.isArray(objects)) throw new Refusal("malformed", "A batch lists its objects.");
  if (objects.length > OBJECTS_MAX)
    throw new Refusal("too_large", `A batch has at most ${OBJECTS_MAX} objects here: ask in several.`);
  const name = isObject(ref) ? textOf(ref, "name") : undefined;
  return {
    kind: `git.lfs/${operation}`,
    repository,
    step: "batch",
    objects: objects.map(objectOf),
    ...(name !== undefined && { ref: name }),
  };
}

/** An object by its name and size. Throws `Refusal("malformed")`. */
function objectOf(json: Json | undefined): LfsObject {
  const { oid, size } = isObject(json) ? json : {};
  if (typeof oid !== "string" || !OID.test(oid) || !Number.isSafeInteger(size) || Number(size) < 0)
    throw new Refusal("malformed", "An object has an oid (SHA-256, lower-case hex) and a size in bytes.");
  return { oid, size: Number(size) };
}

const transferOf = (
  action: "download" | "upload",
  repository: string,
  { step, object }: Extract<LfsEndpoint["step"], { readonly object: LfsObject }>,
): GitLfsTransfer => ({ kind: `git.lfs/${action}`, repository, step, objects: [object] });

async function jsonOf(incoming: Incoming): Promise<{ readonly body: Peeked; readonly json: JsonObject }> {
  const { request, stallSeconds } = incoming;
  const type = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== LFS_JSON) throw new Refusal("malformed", `The request's content type is not ${LFS_JSON}.`);
  const body = await peek(request, JSON_MAX, stallSeconds, () => false);
  if (body.kind === "none") throw new Refusal("malformed", "The request has no body.");
  if (body.kind === "stream")
    throw new Refusal("too_large", "The Git LFS request is longer than this gateway reads.");
  const json = parseJson(body.bytes, "The Git LFS request");
  if (!isObject(json)) throw new Refusal("malformed", "The Git LFS request is not a JSON object.");
  return { body, json };
}

async function nothing({ request, stallSeconds }: Incoming): Promise<Peeked> {
  const body = await peek(request, 1, stallSeconds, () => true);
  if (body.kind === "stream" || (body.kind === "whole" && body.bytes.byteLength > 0))
    throw new Refusal("malformed", "This Git LFS request has no body.");
  return { kind: "none" };
}

/** Refuses at once what is short enough to be held, or says another length than its address does. */
async function uploaded({ request, stallSeconds }: Incoming, { oid, size }: LfsObject): Promise<Peeked> {
  const body = await peek(request, HELD, stallSeconds, () => false);
  const length = body.kind === "stream" ? body.length : body.kind === "whole" ? body.bytes.byteLength : 0;
  if (length !== undefined && length !== size) throw otherContent();
  if (body.kind === "stream") return body;
  const bytes = body.kind === "whole" ? body.bytes : new Uint8Array(0);
  if (createHash("sha256").update(bytes).digest("hex") !== oid) throw otherContent();
  return body;
}

function textOf(json: JsonObject, name: string): string {
  const text = json[name];
  if (typeof text !== "string" || text === "" || text.length > TEXT_MAX)
    throw new Refusal("malformed", `"${name}" is not a text of at most ${TEXT_MAX} letters.`);
  return text;
}

/** As the client addressed it; a proxy that ends TLS says so. A client that lies is only told a wrong address itself. */
function originOf({ url, headers }: Request): string {
  const { protocol, host } = new URL(url);
  const ended = headers.get("x-forwarded-proto")?.split(",", 1)[0]?.trim().toLowerCase();
  return `${ended === "https" || protocol === "https:" ? "https" : "http"}://${host}`;
}
