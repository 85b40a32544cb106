/** Reads a commit object (gitformat: headers, an empty line, the message) into what a frame says of it. */
import type { Commit } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";

/** How much of a message and of a name goes into the record; all of it is in the recorded body. */
const MESSAGE_MAX = 8 * 1024;
const NAME_MAX = 1024;
/** An octopus of more parents than any known history has. Walks need all of them, so more are refused. */
const PARENTS_MAX = 256;

type Bytes = Uint8Array<ArrayBuffer>;

const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

const ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * `id` is the hash of `content`. Strict where history depends on it (tree, parents), lenient where git itself is
 * (people, message): a commit git would store must not stop a push because its author is written oddly.
 */
export function readCommit(id: string, content: Bytes): Commit {
  const blank = headerEnd(content);
  const head = content.subarray(0, blank);
  const encoding = /^encoding (.*)$/m.exec(utf8.decode(head))?.[1];
  const decoder = encoding === undefined ? utf8 : decoderOf(encoding);
  const headers = linesOf(decoder.decode(head));
  const [tree, ...others] = headers;
  if (tree?.[0] !== "tree" || !ID.test(tree[1])) throw broken("a commit without a tree");
  const after = others.findIndex(([name]) => name !== "parent");
  const parents = others.slice(0, after < 0 ? others.length : after).map(([, value]) => value);
  if (!parents.every((parent) => ID.test(parent))) throw broken("a commit with a bad parent");
  if (parents.length > PARENTS_MAX)
    throw new Refusal("too_large", "The pack has a commit with too many parents.");
  const person = (name: string): string =>
    cut(headers.find((header) => header[0] === name)?.[1] ?? "", NAME_MAX);
  return {
    id,
    tree: tree[1],
    parents,
    author: person("author"),
    committer: person("committer"),
    message: cut(decoder.decode(content.subarray(Math.min(blank + 2, content.byteLength))), MESSAGE_MAX),
    signed: headers.some(([name]) => name === "gpgsig" || name === "gpgsig-sha256"),
  };
}

const broken = (what: string) => new Refusal("malformed", `The pack has ${what}.`);

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

/** Lines that begin with a space continue the one before; none that is read here does. */
function linesOf(headers: string): readonly (readonly [name: string, value: string])[] {
  const lines: [string, string][] = [];
  for (const line of headers.split("\n")) {
    if (line.startsWith(" ")) continue;
    const space = line.indexOf(" ");
    lines.push(space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)]);
  }
  return lines;
}

/** Commits are UTF-8 unless they name their encoding; one nobody knows is read as UTF-8, with marks for what is not. */
function decoderOf(encoding: string): TextDecoder {
  try {
    return new TextDecoder(encoding, { fatal: false, ignoreBOM: true });
  } catch {
    // A label that is no encoding: the bytes are in the recorded body either way.
    return utf8;
  }
}
