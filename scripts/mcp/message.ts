/** What the bridge must know of a message of JSON-RPC; what else it says passes as it is. */
import * as v from "valibot";

const Id = v.union([v.string(), v.number()]);
const Params = v.looseObject({
  name: v.optional(v.string()),
  uri: v.optional(v.string()),
  requestId: v.optional(Id),
  protocolVersion: v.optional(v.string()),
  _meta: v.optional(v.looseObject({ "io.modelcontextprotocol/protocolVersion": v.optional(v.string()) })),
});
const Said = v.looseObject({
  id: v.nullish(Id),
  method: v.optional(v.string()),
  params: v.optional(Params),
  result: v.optional(v.unknown()),
  error: v.optional(v.unknown()),
});
type Said = v.InferOutput<typeof Said>;

export type Message = Said & {
  /** The message on one line, otherwise letter by letter as it came. */
  readonly text: string;
};

/** Undefined for what is no message. Line ends in JSON are white space: inside strings they are escaped. */
export function messageOf(text: string): Message | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Not JSON: the caller says so in its own words.
    return undefined;
  }
  const said = v.safeParse(Said, json);
  if (!said.success || Array.isArray(json)) return undefined;
  return { ...said.output, text: text.replaceAll(/[\r\n]+/g, " ") };
}

/** A request waits for an answer; a notification and a reply do not. */
export const isRequest = ({ id, method }: Message): boolean => method !== undefined && id != null;

/** The fields that mirror a message of revision 2026-07-28 (Streamable HTTP); none for earlier revisions, which have a session. */
export function mirrors({ method, params }: Message): Record<string, string> {
  const version = params?._meta?.["io.modelcontextprotocol/protocolVersion"];
  if (version === undefined || method === undefined) return {};
  const name = method === "resources/read" ? params?.uri : params?.name;
  return {
    "mcp-protocol-version": version,
    "mcp-method": method,
    ...(name !== undefined && { "mcp-name": field(name) }),
  };
}

/** What a field cannot carry, or would be taken for the encoding itself, is in Base64. */
const field = (text: string): string =>
  /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith("=?")
    ? text
    : `=?base64?${Buffer.from(text).toString("base64")}?=`;
