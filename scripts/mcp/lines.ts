/** A stdio transport's messages: one a line. What is longer than `max` bytes is passed over and told as `too_long`. */

export type Line = { readonly kind: "line"; readonly text: string } | { readonly kind: "too_long" };

const NEWLINE = 0x0a;

/** Empty lines are none; a last line without its end is one. Bytes that are no UTF-8 become U+FFFD. */
export async function* linesOf(input: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<Line> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  const taken = (): Line | undefined => {
    const text = size > max ? "" : Buffer.concat(pieces).toString("utf8").trim();
    const line: Line | undefined =
      size > max ? { kind: "too_long" } : text ? { kind: "line", text } : undefined;
    pieces = [];
    size = 0;
    return line;
  };
  for await (const chunk of input) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, at));
      from = at + 1;
      const line = taken();
      if (line) yield line;
    }
    keep(chunk.subarray(from));
  }
  const last = taken();
  if (last) yield last;

  function keep(piece: Uint8Array): void {
    size += piece.byteLength;
    if (size > max) pieces = [];
    else pieces.push(piece);
  }
}
