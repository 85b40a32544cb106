/** What a witness remembers of each log: the newest checkpoint it cosigned. On the disk before anybody hears of it. */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { type Bytes, fromBase64, sha256, toBase64, toHex, utf8 } from "#durable/proof/bytes.ts";
import { emptyRoot } from "#durable/proof/merkle.ts";
import type { Memory, Seen } from "./cosign.ts";

const Stored = v.strictObject({
  origin: v.string(),
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  root: v.pipe(
    v.string(),
    v.transform((text) => fromBase64(text)),
    v.check((root): root is Bytes => root?.byteLength === 32, "a base64 SHA-256"),
  ),
  at: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

export class WitnessState implements Memory {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async read(origin: string): Promise<Seen> {
    const path = this.#path(origin);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && cause.code === "ENOENT")
        return { origin, size: 0, root: emptyRoot(), at: 0 };
      throw new Error(`${path} cannot be read`, { cause });
    }
    const { root, ...seen } = readStored(path, text);
    if (seen.origin !== origin || !root) throw new Error(`${path} is not of the log ${origin}`);
    return { ...seen, root };
  }

  /** File, name and folder are synced. */
  async write({ origin, size, root, at }: Seen): Promise<void> {
    const path = this.#path(origin);
    const next = `${path}.new`;
    const file = await open(next, "w", 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ origin, size, root: toBase64(root), at })}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, path);
    await syncFolder(this.#directory);
  }

  /** An origin may hold any character but white space and plus: its file is named by its digest. */
  #path(origin: string): string {
    return join(this.#directory, `${toHex(sha256(utf8(origin)))}.json`);
  }
}

function readStored(path: string, text: string): v.InferOutput<typeof Stored> {
  try {
    return v.parse(Stored, JSON.parse(text));
  } catch (cause) {
    throw new Error(`${path} does not hold what a witness wrote`, { cause });
  }
}

export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await syncFolder(path);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
