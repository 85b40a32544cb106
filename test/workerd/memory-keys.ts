/** A store of session keys in memory that keeps the port's contract, and fails when a test says so. */
import type { SessionId } from "#durable/format/ids.ts";
import { ArchiveFault } from "#durable/store/archive.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";

/** What the next call of a sort does: fail and change nothing, or do what was asked and fail all the same. */
export type KeyFault = { readonly verb: "put" | "remove"; readonly how: "not done" | "done"; times: number };

export class MemoryKeys implements KeyStore {
  readonly stored = new Map<SessionId, Uint8Array<ArrayBuffer>>();
  readonly faults: KeyFault[] = [];
  /** Every call that was tried. */
  readonly tried: string[] = [];

  async put(session: SessionId, key: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#call("put", session, () => this.stored.set(session, key.slice()));
  }

  async get(session: SessionId): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.stored.get(session);
  }

  async remove(session: SessionId): Promise<void> {
    this.#call("remove", session, () => this.stored.delete(session));
  }

  async *list(): AsyncIterable<SessionId> {
    yield* [...this.stored.keys()].sort();
  }

  #call(verb: KeyFault["verb"], session: SessionId, work: () => unknown): void {
    this.tried.push(`${verb} ${session}`);
    const fault = this.faults.find((each) => each.times > 0 && each.verb === verb);
    if (fault) fault.times -= 1;
    if (fault?.how === "not done") throw new ArchiveFault("nothing was done");
    work();
    if (fault) throw new ArchiveFault("the reply was lost");
  }
}
