/** What is asked of a store to know whether it keeps what it is given, and what its answers come to. */
import type { Attestation, ProbeResult } from "#durable/format/log/attestation.ts";

export interface Prober {
  /** `id` names the objects this puts, and is never used again. Throws when the store could not be asked. */
  probe(id: string): Promise<Probed>;
}

/** As the log says it. */
export type Probed = Omit<Attestation & { readonly kind: "storage-probe" }, "kind">;

/** Objects of a probe are kept for a day, where the store keeps anything. */
export const PROBE_DAYS = 1;

export type Result = ProbeResult;
export const held = (name: Result["name"], said: string): Result => ({ name, outcome: "held", said });
export const broke = (name: Result["name"], said: string): Result => ({ name, outcome: "failed", said });
export const untried = (name: Result["name"], said: string): Result => ({ name, outcome: "untried", said });

/** What a store of evidence must have held, in the order it is told. */
export const ASKED = ["create", "retention", "second-put", "race", "delete-version", "shorten"] as const;

/** The grade is `evidence` only when the store held everything. */
export function graded(archive: Probed["archive"], results: readonly Result[]): Probed {
  const told = ASKED.map(
    (name) => results.find((result) => result.name === name) ?? untried(name, "it was not asked"),
  );
  const reasons = told
    .filter(({ outcome }) => outcome !== "held")
    .map(({ name, said }) => `${name}: ${said}`);
  return { archive, grade: reasons.length === 0 ? "evidence" : "limited", reasons, results: told };
}
