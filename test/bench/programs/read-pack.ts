// Reads a pack with the gateway's reader, as it would arrive, and prints what it found and how long that took.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type PackSource, readWholePack } from "#workers/adapters/git/pack/whole-pack.ts";

const CHUNK = 1024 * 1024;
const file = openSync(process.argv[2] ?? "", "r");
const { size } = fstatSync(file);
const read = (offset: number, length: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(Math.min(length, size - offset));
  readSync(file, bytes, 0, bytes.byteLength, offset);
  return bytes;
};
let at = 0;
const source: PackSource = {
  next: async () => {
    if (at >= size) return undefined;
    const bytes = read(at, CHUNK);
    at += bytes.byteLength;
    return bytes;
  },
  again: async (offset, length) => read(offset, length),
};
const began = performance.now();
const pack = await readWholePack(source, "sha1", () => undefined);
const seconds = (performance.now() - began) / 1000;
closeSync(file);
console.log(JSON.stringify({ objects: pack.table.count, seconds }));
