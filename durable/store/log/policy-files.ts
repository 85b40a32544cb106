/** The witness policy in the archive: every one there was, under the first checkpoint it speaks of, and the newest. */
import * as v from "valibot";
import { policyKey, WITNESS_POLICY } from "#durable/format/layout.ts";
import { sha256, toHex, utf8 } from "#durable/proof/bytes.ts";
import type { Archive } from "../archive.ts";
import type { CheckpointRow, LedgerRows } from "./rows.ts";

/** What is being published, kept before the first put: a repeated put has the same bytes. */
const PolicyFact = v.object({
  size: v.number(),
  at: v.number(),
  text: v.string(),
  published: v.boolean(),
});
type PolicyFact = v.InferOutput<typeof PolicyFact>;

const FACT = "witness-policy";

/**
 * Publishes `text` before the first checkpoint that is made under it. A checkpoint has one policy: one that changes
 * while a checkpoint is on its way begins with the next.
 */
export async function putPolicy(
  archive: Archive,
  rows: LedgerRows,
  { size, at }: CheckpointRow,
  text: string,
): Promise<void> {
  const known = rows.fact(FACT);
  let fact: PolicyFact | undefined = known === undefined ? undefined : v.parse(PolicyFact, JSON.parse(known));
  const same = fact !== undefined && fact.size === size && fact.at === at;
  if (fact === undefined || (fact.published && !same && fact.text !== text)) {
    fact = { size, at, text, published: false };
    rows.setFact(FACT, JSON.stringify(fact));
  }
  if (fact.published) return;
  const bytes = utf8(fact.text);
  await archive.put(policyKey(fact.size, fact.at, toHex(sha256(bytes))), bytes, { locked: true });
  await archive.replace(WITNESS_POLICY, bytes);
  rows.setFact(FACT, JSON.stringify({ ...fact, published: true }));
}
