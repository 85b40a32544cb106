/** A dictionary: whole words and phrases, in upper or lower case, as one tree, so that they are all looked for at once. */
import { isWordByte, type Node, setOf } from "./parse.ts";

type Branch = { readonly next: Map<number, Branch>; ends: boolean };

const encoder = new TextEncoder();
const WORD: Node = { kind: "assert", at: "word" };

/** With the automaton over it this is Aho and Corasick's machine, whose failures are made as they are met. */
export function wordsPattern(words: readonly string[]): Node {
  const root: Branch = { next: new Map(), ends: false };
  for (const word of words) {
    let at = root;
    for (const byte of encoder.encode(word)) {
      const lower = byte >= 65 && byte <= 90 ? byte + 32 : byte;
      const next = at.next.get(lower) ?? { next: new Map(), ends: false };
      at.next.set(lower, next);
      at = next;
    }
    at.ends = true;
  }
  return {
    kind: "alt",
    parts: [...root.next].map(([byte, next]) => edged(byte, [step(byte), below(next, byte)])),
  };
}

/** What begins like a word must begin one. */
const edged = (byte: number, parts: readonly Node[]): Node => ({
  kind: "seq",
  parts: isWordByte(byte) ? [WORD, ...parts] : parts,
});

function below({ next, ends }: Branch, last: number): Node {
  const parts: Node[] = [...next].map(([byte, more]) => ({
    kind: "seq",
    parts: [step(byte), below(more, byte)],
  }));
  if (ends) parts.push({ kind: "seq", parts: isWordByte(last) ? [WORD] : [] });
  const [only] = parts;
  return only && parts.length === 1 ? only : { kind: "alt", parts };
}

function step(byte: number): Node {
  const set = setOf([byte, byte]);
  if (byte >= 97 && byte <= 122) set[byte - 32] = 1;
  return { kind: "bytes", set };
}
