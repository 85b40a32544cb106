/**
 * Leads objects through the gateway, for egress: every address in a batch's answer becomes one below the connection, and a
 * request for such an address becomes the one that the LFS server named.
 */
import type { Header } from "#durable/format/frame.ts";
import type { LfsObject } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { isObject, type Json, type JsonObject, objectsOf, parseJson } from "#workers/wire/json/strict.ts";
import { OBJECTS_MAX } from "./endpoint.ts";
import { LFS_JSON } from "./refuse.ts";
import type { Ticket, Tickets } from "./tickets.ts";

/** A request to the connection, as it was cleared. */
export type Asked = { readonly connection: string; readonly method: string; readonly path: string };

const BATCH = /^(.*\/info\/lfs\/objects)\/batch$/s;
const OBJECT = /^(.*\/info\/lfs\/objects\/([0-9a-f]{64})\/(\d+)(?:\/verify)?)\?ticket=([A-Za-z0-9_-]+)$/s;

/** Longest answer to a batch: 1,000 objects of two presigned addresses each. */
const ANSWER_MAX = 8 * 1024 * 1024;
/** Bytes of an address and its headers: what is sealed must fit into the path of a request. */
const TICKET_MAX = 8_000;
const MESSAGE_MAX = 1_000;

/** Each action by its method and what its address ends in. */
const ACTIONS = {
  download: { method: "GET", end: "" },
  upload: { method: "PUT", end: "" },
  verify: { method: "POST", end: "/verify" },
} as const;

/** Headers that are the gateway's to set. */
const OURS =
  /^(host|connection|keep-alive|te|trailer|upgrade|expect|transfer-encoding|content-length|accept-encoding|proxy-.*|steno-.*)$/;

export const isBatch = ({ method, path }: Asked): boolean => method === "POST" && BATCH.test(path);

/** The object that this request uploads. */
export function uploadedBy({ method, path }: Asked): LfsObject | undefined {
  const [, , oid, size] = method === "PUT" ? (OBJECT.exec(path) ?? []) : [];
  return oid === undefined ? undefined : { oid, size: Number(size) };
}

/** What the request's ticket says; undefined for a request without one. Throws `Refusal("denied")`. */
export async function ticketOf(asked: Asked, tickets: Tickets): Promise<Ticket | undefined> {
  const [, path, , , ticket] = OBJECT.exec(asked.path) ?? [];
  if (path === undefined || ticket === undefined) return undefined;
  return tickets.open(ticket, placeOf({ ...asked, path }));
}

/** A batch's answer with addresses below `/git/<connection>`. `base` is the upstream's, without a trailing slash. */
export async function leadThrough(
  response: Response,
  asked: Asked,
  base: string,
  tickets: Tickets,
): Promise<Response> {
  const answer = await answerOf(response);
  const home = BATCH.exec(asked.path)?.[1] ?? "";
  const objects = objectsOf(answer["objects"]);
  if (objects.length > OBJECTS_MAX) throw odd("has too many objects");
  const led = await Promise.all(objects.map((object) => leadObject(object, { asked, home, base, tickets })));
  return new Response(JSON.stringify({ transfer: "basic", objects: led }), {
    headers: { "content-type": LFS_JSON },
  });
}

async function answerOf(response: Response): Promise<JsonObject> {
  if (response.headers.has("content-encoding")) throw odd("is compressed");
  const answer = whole(parsed(await bounded(response)));
  const { transfer = "basic", hash_algo: algorithm = "sha256" } = answer;
  if (transfer !== "basic") throw odd("wants another transfer than basic");
  if (algorithm !== "sha256") throw odd("names objects otherwise than by their SHA-256");
  return answer;
}

function parsed(bytes: Uint8Array): Json {
  try {
    return parseJson(bytes, "The LFS server's answer");
  } catch (cause) {
    throw odd("is not JSON that means one thing", cause);
  }
}

function whole(value: Json): JsonObject {
  if (!isObject(value)) throw odd("is not a JSON object");
  return value;
}

async function bounded(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    if (size > ANSWER_MAX) throw odd("is too long");
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

type Around = {
  readonly asked: Asked;
  readonly home: string;
  readonly base: string;
  readonly tickets: Tickets;
};

async function leadObject(object: JsonObject, around: Around): Promise<JsonObject> {
  const { oid, size, error } = object;
  if (
    typeof oid !== "string" ||
    !/^[0-9a-f]{64}$/.test(oid) ||
    !Number.isSafeInteger(size) ||
    Number(size) < 0
  )
    throw odd("has an object without oid and size");
  const named = { oid, size: Number(size) };
  if (isObject(error)) return { ...named, error: errorOf(error) };
  const actions = whole(object["actions"] ?? {});
  const led: Record<string, JsonObject> = {};
  for (const [name, { method, end }] of Object.entries(ACTIONS)) {
    const action = actions[name];
    if (action === undefined || action === null) continue;
    const ticket = ticketFor(whole(action), around);
    if ("code" in ticket) return { ...named, error: ticket };
    const path = `${around.home}/${oid}/${named.size}${end}`;
    const { connection } = around.asked;
    const sealed = await around.tickets.seal(ticket, placeOf({ connection, method, path }));
    led[name] = { href: `/git/${connection}${path}?ticket=${sealed}`, ...expiryOf(whole(action)) };
  }
  return Object.keys(led).length === 0 ? named : { ...named, actions: led };
}

/** Where the action leads, or what the agent is told when that is nowhere the connection goes. */
function ticketFor(
  { href, header }: JsonObject,
  { asked, base }: Around,
): Ticket | { readonly code: number; readonly message: string } {
  if (typeof href !== "string" || !URL.canParse(href)) throw odd("has an address that is none");
  const url = new URL(href);
  const home = new URL(base);
  if (url.origin !== home.origin || !url.pathname.startsWith(`${home.pathname.replace(/\/$/, "")}/`)) {
    return {
      code: 403,
      message: `the object is kept at ${url.origin}, where connection "${asked.connection}" does not lead: have the LFS server serve objects itself, below the connection's upstream`,
    };
  }
  const headers = isObject(header) ? headersOf(header) : [];
  if (href.length + JSON.stringify(headers).length > TICKET_MAX) throw odd("has an address that is too long");
  url.hash = "";
  url.username = "";
  url.password = "";
  return { url: url.href, headers };
}

const headersOf = (header: JsonObject): Header[] =>
  Object.entries(header).flatMap(([name, value]): Header[] => {
    const lower = name.toLowerCase();
    const sound =
      /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(lower) && typeof value === "string" && /^[\t\x20-\x7e]*$/.test(value);
    if (!sound) throw odd("has a header that cannot be sent");
    return OURS.test(lower) ? [] : [[lower, value]];
  });

function errorOf({ code, message }: JsonObject): JsonObject {
  const text =
    typeof message === "string" ? message.slice(0, MESSAGE_MAX) : "the LFS server refused the object";
  return { code: Number.isSafeInteger(code) ? Number(code) : 500, message: text };
}

const expiryOf = ({ expires_in: seconds, expires_at: at }: JsonObject): JsonObject => ({
  ...(Number.isSafeInteger(seconds) && { expires_in: Number(seconds) }),
  ...(typeof at === "string" && at.length <= 64 && { expires_at: at }),
});

const placeOf = ({ connection, method, path }: Asked): string => `${connection} ${method} ${path}`;

const odd = (what: string, cause?: unknown) =>
  new Refusal("upstream_protocol", `The LFS server's answer ${what}.`, { cause });
