/** Names in trees: what a checkout would take for something else is refused, what a reader could misread is said to be odd. */
import type { Bytes } from "../pack/bytes.ts";

/** Why a path is not what it seems: for policies and readers. */
export type Oddity = "bytes" | "control" | "case" | "invisible";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Letters that HFS+ ignores in names: `.g\u200cit` is `.git` there (git's utf8.c, `next_hfs_char`). */
const IGNORED_BY_HFS = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
const CONTROL = /\p{Cc}/u;
/** Format characters, which turn the reading direction or cannot be seen. */
const INVISIBLE = /\p{Cf}/u;

/**
 * Why no repository may have an entry of this name, or undefined. `name` is as `textOfName` gives it. What git's own fsck
 * says of `.`, `..`, `.git` and its disguises on NTFS (`git~1`, trailing dots and spaces, streams) and HFS+.
 */
export function forbidden(name: string): string | undefined {
  if (name === "") return "has no name";
  if (name.includes("/")) return "has a slash in its name";
  if (name === "." || name === "..") return `is called ${JSON.stringify(name)}`;
  const ntfs =
    name
      .split(/[:\\]/, 1)[0]
      ?.replace(/[. ]+$/, "")
      .toLowerCase() ?? "";
  const hfs = name.replace(IGNORED_BY_HFS, "").toLowerCase();
  if (ntfs === ".git" || ntfs === "git~1" || hfs === ".git")
    return `is called ${JSON.stringify(name)}, which a checkout may take for .git`;
  return undefined;
}

/** The name as text. Bytes that are not UTF-8 are written `\xff`, and the name is odd for it. */
export function textOfName(bytes: Bytes): { readonly name: string; readonly odd: readonly Oddity[] } {
  const decoded = decode(bytes);
  const name = decoded ?? escaped(bytes);
  const odd: Oddity[] = [];
  if (decoded === undefined) odd.push("bytes");
  if (CONTROL.test(name)) odd.push("control");
  if (INVISIBLE.test(name)) odd.push("invisible");
  return { name, odd };
}

/** What two names are the same by, where case does not count: on NTFS, APFS and HFS+. */
export const folded = (name: string): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is its own composition
  const composed = /^[\x00-\x7f]*$/.test(name) ? name : name.normalize("NFC");
  return composed.toLowerCase();
};

function decode(bytes: Bytes): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    // Not UTF-8, which git allows: the name is told in escapes.
    return undefined;
  }
}

function escaped(bytes: Bytes): string {
  let text = "";
  for (const byte of bytes)
    text += byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : hexEscape(byte);
  return text;
}

const hexEscape = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`;
