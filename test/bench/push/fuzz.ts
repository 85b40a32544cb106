// Bent packs and pkt-lines for as long as it is given: whatever the bytes, the readers refuse with a sentence or read on.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "#durable/format/refusal.ts";
import { run } from "#test/support/servers/children.ts";
import { generateRepository, tinyRepository } from "#test/support/servers/repository.ts";
import { readTree } from "#workers/adapters/git/change/tree.ts";
import { BOUNDS, readWholePack } from "#workers/adapters/git/pack/whole-pack.ts";
import { PacketReader } from "#workers/adapters/git/pkt-line.ts";
import { decodePush } from "#workers/adapters/git/receive-pack.ts";
import { decodeUploadPack } from "#workers/adapters/git/upload-pack.ts";
import type { Row } from "../measure.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Reader = {
  readonly name: string;
  readonly corpus: readonly Bytes[];
  readonly read: (bytes: Bytes) => unknown;
};

/** Longest that a reader may take over an input of some kilobytes. */
const SECONDS_MAX = 2;

/** `packs` are good ones of a few kilobytes. Throws with the input, in hex, when a reader does anything but read or refuse. */
export async function fuzz(packs: readonly Bytes[], seconds: number): Promise<Row[]> {
  const rows: Row[] = [];
  const all = readers(packs);
  for (const reader of all) rows.push(await fuzzOne(reader, seconds / all.length));
  return rows;
}

/** Packs of a small history, with deltas by offset and by id. */
export async function packsOf(directory: string): Promise<readonly Bytes[]> {
  const path = join(directory, "fuzzed.git");
  await tinyRepository(path);
  const generated = join(directory, "fuzzed-more.git");
  await generateRepository(generated, { megabytes: 0.05, commits: 12 });
  const packs: Bytes[] = [];
  for (const each of [path, generated])
    for (const options of [["--delta-base-offset"], []]) {
      const name = await run("sh", [
        "-c",
        `git -C "$0" rev-list --objects --all --no-object-names | git -C "$0" pack-objects -q ${options.join(" ")} "$1"`,
        each,
        join(directory, "fuzzed"),
      ]);
      packs.push(new Uint8Array(readFileSync(join(directory, `fuzzed-${name.trim()}.pack`))));
    }
  return packs;
}

function readers(packs: readonly Bytes[]): readonly Reader[] {
  const id = "5ca1ab1e".repeat(5);
  const line = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;
  const text = (...lines: string[]): Bytes => new Uint8Array(Buffer.from(lines.join("")));
  const command = line(`${"0".repeat(40)} ${id} refs/heads/a\0 report-status push-options atomic\n`);
  const push = text(command, line(`${id} ${id} refs/tags/b\n`), "0000", line("ci.skip"), "0000PACK");
  const v2 = text(
    line("command=fetch"),
    line("agent=git"),
    "0001",
    line(`want ${id}\n`),
    line("done\n"),
    "0000",
  );
  const v0 = text(
    line(`want ${id} ofs-delta\n`),
    line("deepen 3\n"),
    "0000",
    line(`have ${id}\n`),
    line("done\n"),
  );
  const tree = new Uint8Array(Buffer.from(`100644 a\0${"x".repeat(20)}40000 b\0${"y".repeat(20)}`));
  const packets = (bytes: Bytes) => {
    const reader = new PacketReader();
    for (let at = 0; at < bytes.byteLength; at += 7) {
      reader.feed(bytes.subarray(at, at + 7));
      while (reader.next());
    }
  };
  return [
    { name: "packs", corpus: packs, read: pack },
    { name: "packs, checksum mended", corpus: packs, read: (bytes) => pack(mended(bytes)) },
    { name: "pkt-lines", corpus: [push, v2, v0], read: packets },
    { name: "pushes", corpus: [push], read: (bytes) => decodePush(bytes, false) },
    {
      name: "fetches",
      corpus: [v2, v0],
      read: (bytes) => decodeUploadPack("a", bytes[0] === 0x30 ? 2 : 0, bytes),
    },
    { name: "trees", corpus: [tree], read: (bytes) => readTree(bytes, 20) },
  ];
}

function pack(bytes: Bytes): Promise<unknown> {
  let at = 0;
  const next = async () => {
    if (at >= bytes.byteLength) return undefined;
    const piece = bytes.slice(at, at + 1000);
    at += piece.byteLength;
    return piece;
  };
  const again = async (offset: number, length: number) => bytes.slice(offset, offset + length);
  // Little is held, so that deltas are settled both ways; and a bomb is found out soon.
  const bounds = { ...BOUNDS, recent: 2500, history: 2500, small: 2000, held: 1 << 20, workLeast: 8 << 20 };
  return readWholePack({ next, again }, "sha1", () => undefined, bounds);
}

function mended(bytes: Bytes): Bytes {
  if (bytes.byteLength < 32) return bytes;
  const good = bytes.slice();
  good.set(createHash("sha1").update(good.subarray(0, -20)).digest(), good.byteLength - 20);
  return good;
}

async function fuzzOne({ name, corpus, read }: Reader, seconds: number): Promise<Row> {
  const end = performance.now() + seconds * 1000;
  let inputs = 0;
  let refused = 0;
  let slowest = 0;
  while (performance.now() < end) {
    const bytes = bent(corpus);
    const began = performance.now();
    try {
      await read(bytes);
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.message.length < 10)
        throw new Error(`${name} fail on ${Buffer.from(bytes).toString("hex")}`, { cause: thrown });
      refused += 1;
    }
    slowest = Math.max(slowest, performance.now() - began);
    if (slowest > SECONDS_MAX * 1000)
      throw new Error(`${name} take ${slowest} ms over ${Buffer.from(bytes).toString("hex")}`);
    inputs += 1;
  }
  return {
    reader: name,
    inputs,
    refused: `${((refused / inputs) * 100).toFixed(0)} %`,
    "slowest ms": slowest,
  };
}

/** An input of the corpus with bytes changed, taken out, doubled, cut off, or exchanged for those of another. */
function bent(corpus: readonly Bytes[]): Bytes {
  const random = randomBytes(64);
  let at = 0;
  const draw = (below: number): number => {
    at = (at + 4) % 60;
    return random.readUInt32LE(at) % Math.max(below, 1);
  };
  let bytes: Bytes = (corpus[draw(corpus.length)] ?? new Uint8Array(0)).slice();
  for (let changes = 1 + draw(3); changes > 0; changes--) {
    const [from, to] = [draw(bytes.byteLength), draw(bytes.byteLength)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    switch (draw(6)) {
      case 0:
        bytes[from] = draw(256);
        break;
      case 1:
        bytes[from] = (bytes[from] ?? 0) ^ (1 << draw(8));
        break;
      case 2:
        bytes = bytes.slice(0, to);
        break;
      case 3:
        bytes = joined(bytes.subarray(0, from), bytes.subarray(to));
        break;
      case 4:
        bytes = joined(bytes.subarray(0, to), bytes.subarray(from));
        break;
      case 5: {
        const other = corpus[draw(corpus.length)] ?? bytes;
        bytes = joined(bytes.subarray(0, from), other.subarray(draw(other.byteLength)));
        break;
      }
    }
  }
  return bytes;
}

const joined = (a: Uint8Array, b: Uint8Array): Bytes => new Uint8Array(Buffer.concat([a, b]));
