/** Text through the scanner, in chunks, as what comes out and what was found. */
import { type Hit, type Rules, Scan } from "#workers/mask/pattern/scan.ts";

export type Scanned = {
  readonly text: string;
  readonly hits: readonly string[];
  /** The most that was held back after a chunk. */
  readonly held: number;
  readonly steps: number;
};

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

export function scanned(rules: Rules, chunks: readonly Uint8Array[]): Scanned {
  const whole = Buffer.concat(chunks);
  const parts: string[] = [];
  const hits: string[] = [];
  let at = 0;
  let held = 0;
  const scan = new Scan(rules, {
    pass: (length) => {
      parts.push(whole.subarray(at, at + length).toString("latin1"));
      at += length;
    },
    hide: ({ detector }) => void parts.push(`[masked:${detector}]`),
    skip: (length) => {
      at += length;
    },
    hid: ({ rule, length, sha256 }: Hit) => void hits.push(`${rule.name} ${length} ${sha256.slice(0, 8)}`),
  });
  for (const chunk of chunks) {
    scan.push(chunk);
    held = Math.max(held, scan.held);
  }
  scan.end();
  if (at !== whole.byteLength) throw new Error(`${whole.byteLength - at} bytes were never told`);
  const text = Buffer.from(parts.join(""), "latin1").toString("utf8");
  return { text, hits, held, steps: scan.steps };
}

/** Every way to cut it in two, and byte by byte. */
export function* cuts(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
  for (let at = 1; at < bytes.byteLength; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield [...bytes].map((byte) => Uint8Array.of(byte));
}
