/** Packs as sources for the reader: in pieces of any size, with a second look at what has passed. */
import {
  BOUNDS,
  type Bounds,
  type PackSource,
  readWholePack,
  type Settled,
} from "#workers/adapters/git/pack/whole-pack.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export type Source = PackSource & {
  /** How often bytes were asked for again. */ readonly looks: () => number;
};

export function sourceOf(pack: Bytes, piece: number): Source {
  let at = 0;
  let looks = 0;
  return {
    looks: () => looks,
    next: async () => {
      if (at >= pack.byteLength) return undefined;
      // Good until the next call, and not any longer.
      const bytes = pack.slice(at, at + piece);
      at += bytes.byteLength;
      return bytes;
    },
    again: async (offset, length) => {
      if (offset + length > at) throw new Error("asked again for what was never given");
      looks += 1;
      return pack.slice(offset, offset + length);
    },
  };
}

export type Read = { readonly objects: readonly Settled[]; readonly looks: number };

export async function readAll(
  pack: Bytes,
  {
    format = "sha1",
    piece = 4096,
    ...bounds
  }: Partial<Bounds> & { format?: "sha1" | "sha256"; piece?: number } = {},
): Promise<Read> {
  const source = sourceOf(pack, piece);
  const objects: Settled[] = [];
  await readWholePack(source, format, (object) => objects.push(object), { ...BOUNDS, ...bounds });
  return { objects, looks: source.looks() };
}
