/** The chunks of bytes segments, which lie back to back in the order of the frames that name them (EVIDENCE §2). */
import type { SegmentEntry } from "#durable/format/head.ts";
import { bytesName } from "#durable/format/layout.ts";
import { type Bytes, fromBase64, sha256, toHex } from "../bytes.ts";
import { describeAltered, openStored, type ReadSession } from "./segment.ts";
import { inClear, isSealed } from "./unsealed.ts";

type Pointer = readonly [segment: number, offset: number, length: number];

export class Chunks {
  readonly #session: ReadSession;
  readonly #entries: ReadonlyMap<string, SegmentEntry>;
  #loaded: { readonly segment: number; readonly bytes: Bytes | undefined } = {
    segment: -1,
    bytes: undefined,
  };
  #segment = 0;
  #offset = 0;
  /** Frames were skipped: where the next chunk begins is not known. */
  #lost = false;

  constructor(session: ReadSession) {
    this.#session = session;
    const entries = session.segments.filter(({ name }) => name.startsWith("bytes-"));
    this.#entries = new Map(entries.map((entry) => [clearName(entry), entry]));
  }

  skip(): void {
    this.#lost = true;
  }

  /** The bytes a frame points to, or undefined when they are not there or are not what its digest says. */
  async read(
    [segment, offset, length]: Pointer,
    digest: string,
    salt: string,
    seq: number,
  ): Promise<Bytes | undefined> {
    const object = this.#object(segment);
    const { report, whole } = this.#session;
    const entry = this.#entries.get(bytesName(segment));
    if (!entry && !whole) return undefined;
    if (!entry || offset + length > entry.bytes) {
      const end = entry ? `a segment of ${entry.bytes} bytes` : "a segment the head does not list";
      report("bytes_range", object, `frame ${seq} points to ${length} bytes at ${offset} of ${end}`);
      return undefined;
    }
    await this.#follow(segment, offset, seq);
    this.#segment = segment;
    this.#offset = offset + length;
    if (this.#loaded.segment > segment) return undefined;
    const loaded = await this.#load(segment);
    if (!loaded) return undefined;
    // Of an encrypted segment the head says how long the ciphertext is.
    if (offset + length > loaded.byteLength) {
      const end = `a segment of ${loaded.byteLength} bytes`;
      report("bytes_range", object, `frame ${seq} points to ${length} bytes at ${offset} of ${end}`);
      return undefined;
    }
    const bytes = loaded.subarray(offset, offset + length);
    if (toHex(sha256(fromBase64(salt) ?? new Uint8Array(), bytes)) === digest) return bytes;
    report("bytes_digest", object, `the ${length} bytes at ${offset} are not those of frame ${seq}`);
    return undefined;
  }

  /** Says what no frame named, and reads segments that no frame reached. */
  async finish(): Promise<void> {
    if (!this.#session.whole) this.#lost = true;
    await this.#follow(this.#entries.size, 0, undefined);
  }

  /** From where the last chunk ended to (segment, offset): there must be nothing in between. */
  async #follow(segment: number, offset: number, seq: number | undefined): Promise<void> {
    const { report } = this.#session;
    const where = seq === undefined ? "the last frame" : `frame ${seq}`;
    const back = segment < this.#segment || (segment === this.#segment && offset < this.#offset);
    if (back && !this.#lost)
      report(
        "bytes_overlap",
        this.#object(segment),
        `${where} points to byte ${offset}, which an earlier frame has named`,
      );
    while (this.#segment < segment) {
      const loaded = await this.#load(this.#segment);
      const entry = this.#entries.get(bytesName(this.#segment));
      // How long an encrypted segment is inside, only its bytes say.
      if (loaded || (entry && !isSealed(entry)))
        this.#passOver(loaded?.byteLength ?? entry?.bytes ?? 0, where);
      this.#segment += 1;
      this.#offset = 0;
    }
    if (!back) this.#passOver(offset, where);
    this.#lost = false;
  }

  #passOver(to: number, where: string): void {
    const { report } = this.#session;
    if (to > this.#offset && !this.#lost)
      report(
        "bytes_gap",
        this.#object(this.#segment),
        `no frame before ${where} names bytes ${this.#offset} to ${to}`,
      );
  }

  /** Loads a segment once; what is wrong with it as a whole is said then. */
  async #load(segment: number): Promise<Bytes | undefined> {
    if (this.#loaded.segment === segment) return this.#loaded.bytes;
    const { report, unsealed } = this.#session;
    const object = this.#object(segment);
    const entry = this.#entries.get(bytesName(segment));
    this.#loaded = { segment, bytes: undefined };
    if (!entry) return undefined;
    const bytes = await openStored(this.#session, entry);
    const altered = bytes && describeAltered(bytes, entry);
    if (altered) report("segment_altered", object, altered);
    if (!bytes || bytes.byteLength !== entry.bytes) return undefined;
    const plain = await inClear(entry, bytes, unsealed);
    if (typeof plain === "string" && !altered) report("segment_unreadable", object, plain);
    this.#loaded = { segment, bytes: typeof plain === "object" ? plain : undefined };
    return this.#loaded.bytes;
  }

  /** Where a segment is stored, whether the head lists it or not. */
  #object(segment: number): string {
    const name = bytesName(segment);
    return `${this.#session.folder}${this.#entries.get(name)?.name ?? name}`;
  }
}

const clearName = ({ name }: SegmentEntry): string => name.replace(/\.age$/, "");
