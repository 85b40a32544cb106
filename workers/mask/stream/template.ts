/**
 * Events of one stream differ in one string, mostly: what stands around it was looked into with the event before, and is
 * told by its bytes alone.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CONTROL = 0x20;

export class Template {
  /** Which text the string is a piece of, and where it stands in the event. */
  readonly field: string;
  readonly path: string;
  readonly head: Uint8Array;
  readonly tail: Uint8Array;

  /** Of a `data` line in whose bytes the string's are those from `from` to `to`. */
  constructor(line: Uint8Array, from: number, to: number, { field, path }: Pick<Template, "field" | "path">) {
    this.field = field;
    this.path = path;
    this.head = line.slice(0, from);
    this.tail = line.slice(to);
  }

  /** The string of a line that differs in nothing else; undefined when it does, or when the string has escapes. */
  stringIn(line: Uint8Array): Uint8Array | undefined {
    const { head, tail } = this;
    const end = line.byteLength - tail.byteLength;
    if (end < head.byteLength) return undefined;
    for (let i = 0; i < head.byteLength; i++) if (line[i] !== head[i]) return undefined;
    for (let i = 0; i < tail.byteLength; i++) if (line[end + i] !== tail[i]) return undefined;
    for (let i = head.byteLength; i < end; i++) {
      const byte = line[i] ?? 0;
      if (byte === QUOTE || byte === BACKSLASH || byte < CONTROL) return undefined;
    }
    return line.subarray(head.byteLength, end);
  }
}
