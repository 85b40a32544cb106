/** Reads a commit object (gitformat: headers, an empty line, the message) into what a frame says of it. */
import type { Commit } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";

/** How much of a message and of a name goes into the record; all of it is in the recorded body. */
const MESSAGE_MAX = 8 * 1024;
const NAME_MAX = 1024;
/** An octopus of more parents than any known history has. Walks need all of them, so more are refused. */
const PARENTS_MAX = 256;

type Bytes = Uint8Array<ArrayBuffer>;

const ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * `id` is the hash of `content`. Strict where history depends on it (tree, parents), lenient where git itself is
 * (people, message): a commit git would store must not stop a push because its author is written oddly.
 */
export function readCommit(id: string, content: Bytes): Commit {
  const blank = headerEnd(content);
  const headers = linesOf(content.subarray(0, blank));
  const [tree, ...others] = headers;
  if (tree?.[0] !== "tree" || !ID.test(tree[1]))
    throw new Refusal("malformed", "The pack has a commit without a tree.");
  const after = others.findIndex(([name]) => name !== "parent");
  const parents = others.slice(0, after < 0 ? others.length : after).map(([, value]) => value);
  if (!parents.every((parent) => ID.test(parent)))
    throw new Refusal("malformed", "The pack has a commit with a bad parent.");
  if (parents.length > PARENTS_MAX)
    throw new Refusal("too_large", "The pack has a commit with too many parents.");
  const value = (name: string): string => headers.find((header) => header[0] === name)?.[1] ?? "";
  const decode = decoder(value("encoding"));
  const person = (name: string): string => cut(decode(latin(value(name))), NAME_MAX);
  return {
    id,
    tree: tree[1],
    parents,
    author: person("author"),
    committer: person("committer"),
    message: cut(decode(content.subarray(Math.min(blank + 2, content.byteLength))), MESSAGE_MAX),
    signed: headers.some(([name]) => name === "gpgsig" || name === "gpgsig-sha256"),
  };
}

const CUT = "… [cut]";

/** At most `limit` letters of `text`, and a mark where more was. Never ends within a surrogate pair. */
export function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit).replace(/[\ud800-\udbff]$/, "")}${CUT}`;
}

function headerEnd(content: Bytes): number {
  for (let at = content.indexOf(10); at >= 0; at = content.indexOf(10, at + 1)) {
    if (content[at + 1] === 10) return at;
  }
  return content.byteLength;
}

/** Header lines as Latin-1, so that every byte is kept; lines that begin with a space continue the one before. */
function linesOf(headers: Bytes): readonly (readonly [name: string, value: string])[] {
  const lines: [string, string][] = [];
  for (const line of text(headers).split("\n")) {
    if (line.startsWith(" ")) continue;
    const space = line.indexOf(" ");
    lines.push(space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)]);
  }
  return lines;
}

function text(bytes: Bytes): string {
  let all = "";
  for (let at = 0; at < bytes.byteLength; at += 8192)
    all += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return all;
}

const latin = (letters: string): Bytes => Uint8Array.from(letters, (letter) => letter.charCodeAt(0));

/** Commits are UTF-8 unless they name their encoding; one nobody knows is read as UTF-8, with marks for what is not. */
function decoder(encoding: string): (bytes: Bytes) => string {
  try {
    const named = new TextDecoder(encoding === "" ? "utf-8" : encoding, { fatal: false, ignoreBOM: true });
    return (bytes) => named.decode(bytes);
  } catch {
    // A label that is no encoding: the bytes are in the recorded body either way.
    return (bytes) => new TextDecoder().decode(bytes);
  }
}
