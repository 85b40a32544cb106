/** What a recorded push contains, from its body alone: the commands, and the ids of the commits in its pack. */
import { concat, equal, readUtf8, toHex, utf8 } from "../../bytes.ts";
import { digestOf, inflateObject } from "../../native.ts";

export type PushCommand = { readonly old: string; readonly new: string; readonly ref: string };
export type PushContent = {
  readonly commands: readonly PushCommand[];
  /** Ids of the commits in the pack, computed from their bytes. */
  readonly commits: ReadonlySet<string>;
  readonly objects: number;
  /** Deltas whose base is not in the pack: what they are cannot be told from it. */
  readonly unread: number;
};

/** The body is no push, or its pack is damaged. */
export class PackMalformed extends Error {
  override readonly name = "PackMalformed";
}

/** An object of the pack is larger than the reader may hold. */
export class PackTooLarge extends Error {
  override readonly name = "PackTooLarge";
}

const COMMAND = /^([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ([^\0\n]+)/;
const COMMIT = 1;
const OFS_DELTA = 6;
const REF_DELTA = 7;
/** Deltas against a base that has not been seen yet are held until the end, up to this many bytes in all. */
const WAITING_MAX = 64 * 1024 * 1024;

/** Reads a receive-pack request body. `objectMax` bounds what one inflated object may take. */
export function readPush(body: Uint8Array, objectMax = 256 * 1024 * 1024): PushContent {
  const { commands, end } = readCommands(body);
  const none = { commands, commits: new Set<string>(), objects: 0, unread: 0 };
  if (end === body.byteLength) return none;
  const wide = commands.some((command) => command.new.length === 64);
  return { commands, ...new PackReader(body.subarray(end), wide ? "sha256" : "sha1", objectMax).read() };
}

/** gitprotocol-pack: command pkt-lines and a flush, then perhaps push options and a flush, then perhaps a pack. */
function readCommands(body: Uint8Array): { commands: PushCommand[]; end: number } {
  const commands: PushCommand[] = [];
  let flushed = false;
  for (let at = 0; at < body.byteLength; ) {
    if (at > 0 && isPack(body, at)) return { commands, end: at };
    const size = readUtf8(body.subarray(at, at + 4)) ?? "";
    const length = /^[0-9a-fA-F]{4}$/.test(size) ? Number.parseInt(size, 16) : -1;
    if (length < 0 || (length > 0 && length < 4) || at + length > body.byteLength)
      throw new PackMalformed(`no pkt-line at byte ${at} of the body`);
    const command = length > 4 ? COMMAND.exec(readUtf8(body.subarray(at + 4, at + length)) ?? "") : undefined;
    if (command) commands.push({ old: command[1] ?? "", new: command[2] ?? "", ref: command[3] ?? "" });
    at += length || 4;
    flushed ||= length === 0;
  }
  if (!flushed) throw new PackMalformed("the commands do not end with a flush");
  return { commands, end: body.byteLength };
}

const isPack = (body: Uint8Array, at: number): boolean =>
  body[at] === 0x50 && body[at + 1] === 0x41 && body[at + 2] === 0x43 && body[at + 3] === 0x4b;

class PackReader {
  readonly #pack: Uint8Array;
  readonly #algorithm: "sha1" | "sha256";
  readonly #objectMax: number;
  readonly #idBytes: number;
  readonly #byOffset = new Map<number, Uint8Array>();
  readonly #byId = new Map<string, Uint8Array>();
  #waiting: { readonly offset: number; readonly base: string | number; readonly delta: Uint8Array }[] = [];
  readonly #waitingAt = new Set<number>();
  #waitingBytes = 0;
  #unread = 0;

  constructor(pack: Uint8Array, algorithm: "sha1" | "sha256", objectMax: number) {
    this.#pack = pack;
    this.#algorithm = algorithm;
    this.#objectMax = objectMax;
    this.#idBytes = algorithm === "sha1" ? 20 : 32;
  }

  read(): { commits: Set<string>; objects: number; unread: number } {
    const pack = this.#pack;
    const head = new DataView(pack.buffer, pack.byteOffset, pack.byteLength);
    const end = pack.byteLength - this.#idBytes;
    if (end < 12 || !isPack(pack, 0)) throw new PackMalformed("the pack has no head");
    const version = head.getUint32(4);
    const objects = head.getUint32(8);
    if (version !== 2 && version !== 3) throw new PackMalformed(`a pack of version ${version}`);
    let at = 12;
    for (let i = 0; i < objects; i++) at = this.#readObject(at, end);
    if (at !== end) throw new PackMalformed(`${end - at} bytes follow the last object of the pack`);
    const sum = digestOf(this.#algorithm, pack.subarray(0, end));
    if (!equal(sum, pack.subarray(end))) throw new PackMalformed("the pack's checksum does not hold");
    this.#resolve();
    return { commits: new Set(this.#byId.keys()), objects, unread: this.#unread };
  }

  /** Returns where the next object begins. */
  #readObject(offset: number, end: number): number {
    const header = this.#header(offset, end);
    let { at } = header;
    let base: number | string | undefined;
    if (header.type === OFS_DELTA) {
      const distance = this.#distance(at, end);
      at = distance.at;
      base = offset - distance.back;
    } else if (header.type === REF_DELTA) {
      base = toHex(this.#pack.subarray(at, at + this.#idBytes));
      at += this.#idBytes;
    }
    const { content, next } = this.#inflate(at, end, header.size);
    if (header.type === COMMIT) this.#keep(offset, content);
    else if (base !== undefined) this.#delta(offset, base, content);
    return next;
  }

  /** An offset delta comes after its base, so a base that is neither a commit nor waiting is of another type. */
  #delta(offset: number, base: string | number, delta: Uint8Array): void {
    const known = this.#known(base);
    if (known) this.#keep(offset, applyDelta(known, delta, this.#objectMax));
    else if (typeof base === "string" || this.#waitingAt.has(base)) this.#wait(offset, base, delta);
  }

  #known(base: string | number): Uint8Array | undefined {
    return typeof base === "string" ? this.#byId.get(base) : this.#byOffset.get(base);
  }

  #wait(offset: number, base: string | number, delta: Uint8Array): void {
    this.#waitingBytes += delta.byteLength;
    this.#waitingAt.add(offset);
    if (this.#waitingBytes > WAITING_MAX) this.#unread += 1;
    else this.#waiting.push({ offset, base, delta });
  }

  #resolve(): void {
    for (let before = -1; before !== this.#waiting.length; ) {
      before = this.#waiting.length;
      this.#waiting = this.#waiting.filter(({ offset, base, delta }) => {
        const known = this.#known(base);
        if (known) this.#keep(offset, applyDelta(known, delta, this.#objectMax));
        return !known;
      });
    }
    this.#unread += this.#waiting.length;
  }

  #keep(offset: number, content: Uint8Array): void {
    const named = concat([utf8(`commit ${content.byteLength}\0`), content]);
    this.#byId.set(toHex(digestOf(this.#algorithm, named)), content);
    this.#byOffset.set(offset, content);
  }

  #header(offset: number, end: number): { type: number; size: number; at: number } {
    let at = offset;
    let byte = this.#byte(at++, end);
    const type = (byte >> 4) & 7;
    let size = byte & 15;
    for (let scale = 16; byte & 0x80; scale *= 128) {
      byte = this.#byte(at++, end);
      size += (byte & 0x7f) * scale;
    }
    if (type === 0 || type === 5)
      throw new PackMalformed(`an object of type ${type} at byte ${offset} of the pack`);
    if (size > this.#objectMax)
      throw new PackTooLarge(`an object of ${size} bytes at byte ${offset} of the pack`);
    return { type, size, at };
  }

  /** gitformat-pack, "offset encoding": each further byte adds one to what is there before it shifts. */
  #distance(from: number, end: number): { back: number; at: number } {
    let at = from;
    let byte = this.#byte(at++, end);
    let back = byte & 0x7f;
    while (byte & 0x80) {
      byte = this.#byte(at++, end);
      back = (back + 1) * 128 + (byte & 0x7f);
    }
    return { back, at };
  }

  #byte(at: number, end: number): number {
    const byte = at < end ? this.#pack[at] : undefined;
    if (byte === undefined) throw new PackMalformed("the pack ends within an object");
    return byte;
  }

  #inflate(at: number, end: number, size: number): { content: Uint8Array; next: number } {
    let inflated: ReturnType<typeof inflateObject>;
    try {
      inflated = inflateObject(this.#pack.subarray(at, end), size);
    } catch (cause) {
      throw new PackMalformed(`the object at byte ${at} of the pack does not inflate`, { cause });
    }
    if (inflated.content.byteLength !== size)
      throw new PackMalformed(
        `the object at byte ${at} of the pack holds ${inflated.content.byteLength} bytes, not ${size}`,
      );
    return { content: inflated.content, next: at + inflated.read };
  }
}

/** gitformat-pack, "deltified representation". */
export function applyDelta(base: Uint8Array, delta: Uint8Array, max: number): Uint8Array {
  let at = 0;
  const byte = (): number => {
    const value = delta[at++];
    if (value === undefined) throw new PackMalformed("a delta ends within an instruction");
    return value;
  };
  const size = (): number => {
    let value = 0;
    for (let scale = 1, more = true; more; scale *= 128) {
      const next = byte();
      value += (next & 0x7f) * scale;
      more = (next & 0x80) !== 0;
    }
    return value;
  };
  const from = size();
  const to = size();
  if (from !== base.byteLength)
    throw new PackMalformed(`a delta for a base of ${from} bytes, not ${base.byteLength}`);
  if (to > max) throw new PackTooLarge(`a delta that makes ${to} bytes`);
  const parts: Uint8Array[] = [];
  let made = 0;
  while (at < delta.byteLength && made <= to) {
    const op = byte();
    if (op === 0) throw new PackMalformed("a delta with instruction 0");
    let [start, length] = [at, op];
    if (op & 0x80) {
      start = 0;
      length = 0;
      for (let i = 0; i < 4; i++) if (op & (1 << i)) start += byte() * 256 ** i;
      for (let i = 0; i < 3; i++) if (op & (16 << i)) length += byte() * 256 ** i;
      length ||= 65_536;
    } else {
      at += op;
    }
    const part = (op & 0x80 ? base : delta).subarray(start, start + length);
    if (part.byteLength !== length) throw new PackMalformed("a delta copies what is not there");
    parts.push(part);
    made += length;
  }
  if (made !== to) throw new PackMalformed(`a delta makes ${made} bytes, not ${to}`);
  return concat(parts);
}
