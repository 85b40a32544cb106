// A session as the recorder writes it, without a recorder: its frame writer, its compression, its heads.
import { randomBytes } from "node:crypto";
import type { Bodies } from "#durable/format/connection.ts";
import type { BodyEnd, Direction, Frame } from "#durable/format/frame.ts";
import type { Head, HeadStatus, SegmentEntry } from "#durable/format/head.ts";
import { type ExchangeId, mintExchangeId, mintSessionId, type SessionId } from "#durable/format/ids.ts";
import { bytesName, framesName, SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import type { Operation } from "#durable/format/operation.ts";
import { type Bytes, concat, sha256, toBase64, toHex } from "#durable/proof/bytes.ts";
import { Range } from "#durable/proof/merkle.ts";
import { consistencyBetween } from "#durable/proof/proofs.ts";
import { sealHead } from "#durable/proof/seal.ts";
import { emptyTally, FrameWriter } from "#durable/store/frame-writer.ts";
import { compress } from "#durable/zstd.ts";
import { type Archive, ORIGIN, SPKI, START, signer } from "#test/unit/proof/recording.ts";

const ALLOW = {
  verdict: "allow",
  policies: ["developers"],
  set: "0".repeat(64),
  reason: "",
  denied: [],
} as const;
const HEADERS = [
  ["content-type", "application/json"],
  ["user-agent", "agent/1.0"],
] as const;

/** What the gateway reads of a body at once. */
const READ_MAX = 256 * 1024;

export const pieces = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.byteLength / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );

/** What passes in one exchange: whole bodies, or the pieces in which they came. */
export type Exchange = {
  readonly operation?: Operation;
  readonly path: string;
  readonly request: Uint8Array;
  readonly response: readonly Uint8Array[];
  readonly bodies?: Bodies;
};

export class Tape {
  readonly session: SessionId;
  readonly folder: string;
  /** Bytes of frames, and of bodies, as they passed. */
  raw = { lines: 0, bodies: 0 };
  stored = 0;
  /** Bytes in bytes segments. */
  chunks = 0;
  readonly #archive: Archive;
  readonly #writer: FrameWriter;
  readonly #segments: SegmentEntry[] = [];
  #open = { segment: 0, first: 0, lines: [] as Uint8Array[], leaves: [] as Uint8Array[] };
  #bytes = { segment: 0, parts: [] as Uint8Array[] };
  #at = START;
  #heads = 0;
  #previous: Head["head"] | undefined;
  /** The tree at the last head, and the leaves since. */
  #old = new Range();
  #more = new Range();

  constructor(archive: Archive, n: number) {
    const chance = new Uint8Array(10);
    new DataView(chance.buffer).setUint32(6, n);
    this.#archive = archive;
    this.session = mintSessionId(START, chance);
    this.folder = sessionFolder(this.session);
    this.#writer = new FrameWriter(
      emptyTally("bench"),
      new Range(),
      () => this.#at,
      (length) => randomBytes(length),
    );
  }

  get frames(): number {
    return this.#writer.tally.frames;
  }

  async begin(): Promise<void> {
    const principal = { issuer: "https://id.example", subject: "u-1", groups: ["devs"] };
    this.#write({ k: "session.start", session: this.session, principal, client: "agent/1.0" });
    await this.#take();
    await this.#head("open");
  }

  async exchange({
    operation = { kind: "unknown" },
    path,
    request,
    response,
    bodies = "full",
  }: Exchange): Promise<void> {
    this.#at += 40;
    const x = mintExchangeId(this.#at, randomBytes(10));
    const { tally } = this.#writer;
    tally.exchanges += 1;
    this.#write({ k: "request", x, connection: "", operation, method: "POST", path, headers: HEADERS });
    this.#write({ k: "decision", x, ...ALLOW });
    this.#body(x, "c2s", pieces(request, READ_MAX), bodies);
    this.#write({ k: "response", x, status: 200, headers: HEADERS });
    this.#body(x, "s2c", response, bodies);
    await this.#take();
  }

  async close(): Promise<void> {
    this.#write({ k: "session.end", reason: "request" });
    this.#writer.cut("frames");
    this.#writer.cut("bytes");
    await this.#take();
    await this.#cutFrames();
    this.#cutBytes();
    this.#put(SEAL_NAME, await this.#head("closed"));
  }

  #write(frame: Frame): void {
    this.#at += 1;
    this.#writer.write(frame);
  }

  #body(x: ExchangeId, dir: Direction, parts: readonly Uint8Array[], bodies: Bodies): void {
    let off = 0;
    parts.forEach((part, i) => {
      const end: BodyEnd | undefined = i === parts.length - 1 ? "complete" : undefined;
      this.#at += 3;
      this.#writer.data(x, dir, off, part, bodies, end);
      off += part.byteLength;
    });
    this.raw.bodies += off;
  }

  async #take(): Promise<void> {
    const { lines, chunks } = this.#writer.take();
    for (const { segment, first, lines: text, leaves } of lines) {
      if (segment !== this.#open.segment) await this.#cutFrames();
      if (this.#open.lines.length === 0) this.#open = { segment, first, lines: [], leaves: [] };
      this.#open.lines.push(text);
      this.#open.leaves.push(leaves);
      for (let at = 0; at < leaves.byteLength; at += 32) this.#more.push(leaves.subarray(at, at + 32));
      this.raw.lines += text.byteLength;
    }
    for (const { segment, bytes } of chunks) {
      if (segment !== this.#bytes.segment) this.#cutBytes();
      this.#bytes.segment = segment;
      this.#bytes.parts.push(bytes);
      this.chunks += bytes.byteLength;
    }
  }

  async #cutFrames(): Promise<void> {
    const { segment, first, lines, leaves } = this.#open;
    if (lines.length === 0) return;
    const range = new Range(first);
    const all = concat(leaves);
    for (let at = 0; at < all.byteLength; at += 32) range.push(all.subarray(at, at + 32));
    const packed = await compress(concat(lines), async () => undefined);
    const more = { firstFrame: first, frames: range.size, range: range.serialise() };
    this.#segment(framesName(segment), packed, more);
    this.#open = { segment: segment + 1, first: range.end, lines: [], leaves: [] };
  }

  #cutBytes(): void {
    const { segment, parts } = this.#bytes;
    if (parts.length === 0) return;
    this.#segment(bytesName(segment), concat(parts), {});
    this.#bytes = { segment: segment + 1, parts: [] };
  }

  #segment(name: string, bytes: Bytes, more: Partial<SegmentEntry>): void {
    this.#put(name, bytes);
    this.#segments.push({ name, sha256: toHex(sha256(bytes)), bytes: bytes.byteLength, ...more });
  }

  #put(name: string, bytes: Bytes): void {
    this.#archive.objects.set(`${this.folder}${name}`, bytes);
    this.stored += bytes.byteLength;
  }

  async #head(status: HeadStatus): Promise<Bytes> {
    const { tally, range } = this.#writer;
    const { frames, exchanges, c2s, s2c, denied, gaps } = tally;
    const root = toBase64(range.root());
    const head: Head = {
      session: this.session,
      status,
      n: this.#heads++,
      head: { origin: `${ORIGIN}/${this.session}`, size: frames, rootHash: root },
      ...(this.#previous && {
        previous: {
          size: this.#previous.size,
          rootHash: this.#previous.rootHash,
          consistency: consistencyBetween(this.#old, this.#more).map(toBase64),
        },
      }),
      startedAt: new Date(START).toISOString(),
      madeAt: new Date(this.#at).toISOString(),
      principal: `hmac:${"0".repeat(64)}`,
      gateway: { build: { sha256: "0".repeat(64) }, config: { sha256: "1".repeat(64) } },
      counts: { frames, exchanges, c2s, s2c, denied, gaps },
      segments: this.#segments.toSorted((a, b) =>
        a.name.slice(0, 6) === b.name.slice(0, 6) ? 0 : a.name < b.name ? 1 : -1,
      ),
      encryption: "none",
      retention: { mode: "none", days: 0 },
    };
    this.#previous = head.head;
    this.#old = range.copy();
    this.#more = new Range(frames);
    return this.#archive.append(await sealHead(head, [], SPKI, signer));
  }
}
