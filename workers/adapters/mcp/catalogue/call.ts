/** A call of a tool: the name its server knows it by, and what is known of its definition. */
import { createHash } from "node:crypto";
import type { Known } from "#durable/format/catalogue/definition.ts";
import type { Header } from "#durable/format/frame.ts";
import type { McpOperation } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { encode } from "#workers/mask/stream/out.ts";
import { edited, membersOf, valueIn } from "#workers/wire/json/spans.ts";
import type { JsonObject } from "#workers/wire/json/strict.ts";
import type { Incoming, Inspected } from "../../adapter.ts";
import type { Message } from "../message.ts";
import { questionsOf } from "../questions.ts";
import { type Changed, definitionFrame } from "./definition.ts";

/** What a client sent: the message, and the JSON and the bytes it was read from. */
export type Said = {
  readonly message: Message;
  readonly json: JsonObject;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the client calls the tool, where its server has another name for it. */
  readonly as?: string;
  readonly headers: readonly Header[];
};

/**
 * The same call under the tool's own name, in the message and in the field that mirrors it; every other byte as it was. A
 * name without the prefix is no tool's.
 */
export function ownCall(said: Said, prefix = ""): Said | Refusal {
  if (prefix === "") return said;
  const { message, json, bytes, headers } = said;
  const { name = "" } = message;
  if (!name.startsWith(prefix) || name === prefix)
    return new Refusal(
      "unknown_path",
      `unknown tool "${name.slice(0, 128)}": names of tools begin with "${prefix}" here`,
    );
  const tool = name.slice(prefix.length);
  const params = { ...message.params, name: tool };
  return {
    as: name,
    message: { ...message, name: tool, params },
    json: { ...json, params },
    bytes: renamed(bytes, tool),
    headers: headers.map(([field, value]) => [field, field === "mcp-name" ? mirrored(tool) : value]),
  };
}

/** It was read: it names its tool, and once. */
function renamed(bytes: Uint8Array, tool: string): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const params = membersOf(text, valueIn(text)).find(({ name }) => name === "params");
  const name = params && membersOf(text, params.value).find((member) => member.name === "name");
  if (!name) throw new Error("the call names no tool");
  return new Uint8Array(encode(edited(text, [{ ...name.value, text: JSON.stringify(tool) }])));
}

/** As `Mcp-Name` says it (2026-07-28, Streamable HTTP): what is no plain ASCII, or looks encoded, goes in base64. */
function mirrored(tool: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(tool) && !/^=\?base64\?/i.test(tool)) return tool;
  return `=?base64?${btoa(String.fromCharCode(...new TextEncoder().encode(tool)))}?=`;
}

type McpInspected = Inspected<McpOperation>;

/** The call, to be decided upon with what is known of its tool. */
export function definedCall(
  inspected: McpInspected,
  { message: { params }, bytes }: Said,
  { connection, detectors }: Incoming,
): McpInspected {
  const { operation } = inspected;
  const settle = (known: Known | undefined): McpInspected => {
    const questions = questionsOf(operation, connection, params, bytes.byteLength, known);
    if (!known?.shown) return { ...inspected, questions };
    // What a diff shows is shown to people as well: secrets are hidden in it wherever it is.
    const rules = detectors.choose(["secrets", ...(connection.mask ?? [])]);
    return changed({ ...inspected, questions }, { ...known, shown: known.shown }, rules);
  };
  return { ...inspected, defined: { tool: operation.name ?? "", settle } };
}

/** Whoever approves it sees how the definitions differ, and accepts the one that the agent was shown, and no other. */
function changed(
  inspected: McpInspected,
  known: Changed,
  rules: Parameters<typeof definitionFrame>[1],
): McpInspected {
  const { operation, frames, content } = inspected;
  const { tool, digest } = known.shown;
  const change = createHash("sha256").update(`${known.pinned.digest} ${digest}`).digest("hex");
  return {
    ...inspected,
    operation: { ...operation, changed: true },
    frames: [...frames, definitionFrame(known, rules)],
    accepts: { tool, digest },
    content: JSON.stringify([content, change]),
  };
}
