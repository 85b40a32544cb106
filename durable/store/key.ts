import { CHECKPOINT, TRUSTED_ROOT, TSA_CERTIFICATES, WITNESS_POLICY } from "#durable/format/layout.ts";

/**
 * Keys of the archive: relative paths of plain segments, so that one key is one object, one file and one URL
 * everywhere, and none of them can leave its root, hide as a dotfile or be spelled in two ways.
 */
export const KEY_MAX = 512;

const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9_.=+-]{0,199}$/;

export function isKey(text: string): boolean {
  return text.length <= KEY_MAX && text.split("/").every((segment) => SEGMENT.test(segment));
}

/** A prefix is what some key begins with; it may be empty or end inside a segment. */
export function isPrefix(text: string): boolean {
  if (text === "") return true;
  return isKey(text.endsWith("/") ? text.slice(0, -1) : text);
}

export function requireKey(key: string): void {
  if (!isKey(key)) throw new RangeError(`not an archive key: ${JSON.stringify(key)}`);
}

/** The keys that are replaced; every other is written once. */
const REPLACED: readonly string[] = [CHECKPOINT, WITNESS_POLICY, TRUSTED_ROOT, TSA_CERTIFICATES];
export function isReplaced(key: string): boolean {
  const [, within = ""] = /^(?:shards\/[^/]+\/)?(.*)$/s.exec(key) ?? [];
  return REPLACED.includes(within);
}

/** What `put`, or `replace`, may be asked for. */
export function requireKeyOf(verb: "put" | "replace", key: string): void {
  requireKey(key);
  if (isReplaced(key) !== (verb === "replace")) throw new RangeError(`not a key to ${verb}: ${key}`);
}

export function requirePrefix(prefix: string): void {
  if (!isPrefix(prefix)) throw new RangeError(`not a prefix of archive keys: ${JSON.stringify(prefix)}`);
}
