/** An archive in memory that keeps the port's contract, and fails when a test says so. */
import { createHash } from "node:crypto";
import {
  type Archive,
  ArchiveConflict,
  ArchiveFault,
  type Stat,
  type Stored,
} from "#durable/store/archive.ts";
import { requireKeyOf } from "#durable/store/key.ts";

/** What the next puts whose key matches do: fail and keep nothing, keep the object and fail all the same, or never end. */
export type Fault = { readonly key: RegExp; readonly how: "not kept" | "kept" | "hangs"; times: number };

export class MemoryArchive implements Archive {
  readonly retention = { mode: "none", days: 0 } as const;
  readonly objects = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly faults: Fault[] = [];
  /** Every put that was tried, by key. */
  readonly tried: string[] = [];

  async put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored> {
    return await this.#keep("put", key, bytes);
  }

  async #keep(verb: "put" | "replace", key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored> {
    requireKeyOf(verb, key);
    this.tried.push(key);
    const fault = this.faults.find((each) => each.times > 0 && each.key.test(key));
    if (fault) fault.times -= 1;
    if (fault?.how === "hangs") await new Promise(() => undefined);
    if (fault?.how === "not kept") throw new ArchiveFault("nothing was kept");
    const sha256 = (of: Uint8Array) => createHash("sha256").update(of).digest("hex");
    const known = this.objects.get(key);
    if (verb === "put" && known && sha256(known) !== sha256(bytes))
      throw new ArchiveConflict(`${key} has other bytes`);
    this.objects.set(key, bytes.slice());
    if (fault) throw new ArchiveFault("the reply was lost");
    return { key, bytes: bytes.byteLength, sha256: sha256(bytes) };
  }

  async replace(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored> {
    return await this.#keep("replace", key, bytes);
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.objects.get(key);
  }

  async stat(key: string): Promise<Stat | undefined> {
    const bytes = this.objects.get(key)?.byteLength;
    return bytes === undefined ? undefined : { bytes };
  }

  async *list(prefix: string): AsyncIterable<string> {
    yield* [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
  }
}
