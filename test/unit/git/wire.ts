/** Requests and packs built by hand, byte by byte. */
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";

type Bytes = Uint8Array<ArrayBuffer>;
export type UpdateLine = readonly [old: string, next: string, ref: string];

/** An object id for a number: 0 is the id of no object. */
export const id = (n: number): string => n.toString(16).padStart(40, "0");

/** pkt-lines: text as data, null as delim, undefined as flush. */
export function pkt(...lines: (string | null | undefined)[]): Bytes {
  const parts = lines.map((line) => {
    if (line === undefined) return "0000";
    if (line === null) return "0001";
    return (Buffer.byteLength(line) + 4).toString(16).padStart(4, "0") + line;
  });
  return new Uint8Array(Buffer.from(parts.join("")));
}

export function pushBody(
  updates: readonly UpdateLine[],
  capabilities: string,
  options: readonly string[] = [],
  pack: Uint8Array = new Uint8Array(0),
): Bytes {
  const commands = updates.map(
    ([old, next, ref], i) => `${old} ${next} ${ref}${i === 0 ? `\0 ${capabilities}` : ""}\n`,
  );
  const optionPart = capabilities.includes("push-options") ? pkt(...options, undefined) : new Uint8Array(0);
  return new Uint8Array(Buffer.concat([pkt(...commands, undefined), optionPart, pack]));
}

/** A pack of raw entries with a correct checksum. */
export function packed(entries: readonly Uint8Array[], count = entries.length, version = 2): Bytes {
  const head = Buffer.alloc(12);
  head.write("PACK");
  head.writeUInt32BE(version, 4);
  head.writeUInt32BE(count, 8);
  const body = Buffer.concat([head, ...entries]);
  return new Uint8Array(Buffer.concat([body, createHash("sha1").update(body).digest()]));
}

/** One entry: `type` and `size` as its header says, then `prefix` (a delta's base), then `content` deflated. */
export function entry(
  type: number,
  content: Uint8Array,
  size = content.byteLength,
  prefix: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const head = [(type << 4) | (size & 15)];
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    head[head.length - 1] = (head.at(-1) ?? 0) | 0x80;
    head.push(rest % 128);
  }
  return Buffer.concat([Uint8Array.from(head), prefix, deflateSync(content)]);
}

export const TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

export const commitText = (message: string): Uint8Array =>
  Buffer.from(`tree ${TREE}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n${message}`);

export const commitEntry = (message: string): Uint8Array => entry(1, commitText(message));
