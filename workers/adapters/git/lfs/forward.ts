/** What an agent may see of an LFS server's answer. */
import type { GitLfsLocks, GitLfsTransfer } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { isObject, type JsonObject, objectsOf, parseJson } from "#workers/wire/json/strict.ts";
import type { LfsInspected } from "./inspect.ts";
import { LFS_JSON } from "./refuse.ts";

export async function forwardLfs(
  inspected: LfsInspected,
  operation: GitLfsTransfer | GitLfsLocks,
  send: (inspected: LfsInspected) => Promise<Response>,
): Promise<Response> {
  const response = await send(inspected);
  const { status } = response;
  if (status === 401 || status === 407)
    throw await refused(response, "The LFS server did not accept the gateway's credential.");
  if (status >= 300 && status < 400)
    throw await refused(
      response,
      "The LFS server answers with a redirect, which the gateway does not follow.",
    );
  // Everything else is the server's own word: a lock that is taken, an object that is gone, a full disk.
  if (operation.kind === "git.lfs/locks" || operation.step !== "batch" || status !== 200) return response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const answer = parseJson(bytes, "The LFS server's answer");
  const objects = objectsOf(isObject(answer) ? answer["objects"] : undefined);
  const told = { transfer: "basic", objects: objects.map((one) => toldOf(one, operation, inspected.origin)) };
  const body = new TextEncoder().encode(JSON.stringify(told));
  const headers = { "content-type": LFS_JSON, "content-length": String(body.byteLength) };
  return new Response(body, { status, headers });
}

/** One object of the answer, which egress has led through the gateway: absolute, and only if it was asked for. */
function toldOf(object: JsonObject, { kind, objects }: GitLfsTransfer, origin: string): JsonObject {
  const { oid, size, actions } = object;
  if (!objects.some((asked) => asked.oid === oid && asked.size === size))
    throw new Refusal("upstream_protocol", "The LFS server answered with an object that was not asked for.");
  if (!isObject(actions)) return object;
  const wanted = kind === "git.lfs/download" ? ["download"] : ["upload", "verify"];
  const led = Object.entries(actions).flatMap(([name, action]) =>
    wanted.includes(name) && isObject(action)
      ? [[name, { ...action, href: `${origin}${action["href"]}` }]]
      : [],
  );
  return { ...object, actions: Object.fromEntries(led) as JsonObject };
}

async function refused(response: Response, message: string): Promise<Refusal> {
  await response.body?.cancel();
  return new Refusal("upstream_protocol", message);
}
