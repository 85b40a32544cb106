/** What the ledger does beside its rounds, now and then: it puts the store to the test, and lists the sessions of past days. */

import { ulid } from "#durable/format/ids.ts";
import { indexKey } from "#durable/format/layout.ts";
import type { Attestable } from "#durable/format/log/attestation.ts";
import { sha256, toHex } from "#durable/proof/bytes.ts";
import { type Archive, ArchiveConflict } from "../archive.ts";
import type { Prober } from "../probe/probe.ts";
import { type Last, probeDue, readLast } from "./daily.ts";
import type { IndexRows, Part } from "./index-rows.ts";
import { encodeIndex } from "./session-index.ts";

export type Chored = {
  readonly archive: Archive;
  readonly prober: () => Prober | undefined;
  readonly index: IndexRows;
  readonly fact: (name: string) => string | undefined;
  readonly setFact: (name: string, value: string) => void;
  /** `along` is kept with the entry, or not at all. */
  readonly attest: (key: string, attestation: Attestable, along?: () => void) => Promise<number>;
  /** Which run of the recorder this is. */
  readonly run: () => string;
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  readonly tell: (code: string, facts: Readonly<Record<string, string>>) => void;
};

/** Parts written at one ring of the alarm. */
const PARTS_MAX = 16;

export class Chores {
  readonly #of: Chored;
  readonly #busy = new Set<string>();

  constructor(of: Chored) {
    this.#of = of;
  }

  /** Begins what is due and is not under way. Nobody waits for it; what fails is told, and due again at the next call. */
  begin(): readonly Promise<void>[] {
    return [
      this.#once("archive_not_probed", () => this.#probeWhenDue()),
      this.#once("index_delayed", () => this.#list()),
    ];
  }

  async #once(failed: string, work: () => Promise<void>): Promise<void> {
    if (this.#busy.has(failed)) return;
    this.#busy.add(failed);
    try {
      await work();
    } catch (cause) {
      this.#of.tell(failed, { cause: String(cause) });
    } finally {
      this.#busy.delete(failed);
    }
  }

  async #probeWhenDue(): Promise<void> {
    const { fact, setFact, attest, run, now, random, tell } = this.#of;
    const prober = this.#of.prober();
    if (!prober || !probeDue(readLast(fact("probe")), run(), now())) return;
    const probed = await prober.probe(ulid(now(), random(10)));
    const n = (readLast(fact("probe"))?.n ?? 0) + 1;
    const next = JSON.stringify({ at: now(), run: run(), n } satisfies Last);
    await attest(String(n), { kind: "storage-probe", ...probed }, () => setFact("probe", next));
    if (probed.archive === "s3" && probed.grade === "limited")
      tell("archive_limited", { reasons: probed.reasons.join("; ") });
  }

  async #list(): Promise<void> {
    const { index, now } = this.#of;
    for (let parts = 0; parts < PARTS_MAX; parts++) {
      const due = index.due(new Date(now()).toISOString().slice(0, 10));
      if (!due) return;
      await this.#listPart(due);
    }
  }

  async #listPart(due: Part): Promise<void> {
    const { archive, index, attest } = this.#of;
    const { day, part, rows } = due;
    const bytes = encodeIndex(rows);
    const name = indexKey(day, part);
    try {
      await archive.put(name, bytes, { locked: false });
    } catch (cause) {
      // An earlier build began this file and wrote it otherwise: the log never spoke of it.
      if (cause instanceof ArchiveConflict) index.again(due);
      throw cause;
    }
    const object = { name, sha256: toHex(sha256(bytes)), bytes: bytes.byteLength, rows: rows.length };
    await attest(`${day} ${part}`, { kind: "index", date: day, objects: [object] });
    index.done(due);
  }
}
