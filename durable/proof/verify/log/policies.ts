/** Witness policies: which cosignatures the checkpoints of a log had to bear, and which do not. */
import { CHECKPOINT, LOG_VKEY, WITNESS_POLICIES, WITNESS_POLICY } from "#durable/format/layout.ts";
import { equal, readUtf8, sha256, toHex, utf8 } from "../../bytes.ts";
import type { Report } from "../../finding.ts";
import type { LogKeys } from "../../log/checkpoint.ts";
import { type NoteKey, sameKey } from "../../log/note.ts";
import { meetsQuorum, NO_QUORUM, type Policy, policyText, readPolicy } from "../../log/policy.ts";
import type { Source } from "../../read/source.ts";
import type { Context } from "../context.ts";

/** From this checkpoint on, until another. */
type Dated = { readonly size: number; readonly at: number; readonly policy: Policy };

export type Policies = {
  /** Ascending. */
  readonly dated: readonly Dated[];
  /** The auditor's own. */
  readonly held: Policy | undefined;
  /** Of all of them, each once. */
  readonly witnesses: readonly NoteKey[];
};

/** A stored checkpoint and the witnesses whose signatures on it hold. */
export type Cosigned = {
  readonly size: number;
  readonly at: number;
  readonly object: string;
  readonly by: readonly NoteKey[];
};

const NAME = /^trust\/witness-policies\/(0|[1-9]\d{0,14})-([1-9]\d{0,14})-([0-9a-f]{64})$/;

/** `root`: it is a whole archive, which has a policy even when that asks for nothing. */
export async function readPolicies(
  source: Source,
  report: Report,
  log: LogKeys | undefined,
  held: Policy | undefined,
  root: boolean,
): Promise<Policies> {
  const dated: (Dated & { readonly text: string })[] = [];
  for await (const object of source.list(WITNESS_POLICIES)) {
    const [, size, at, digest] = NAME.exec(object) ?? [];
    const bytes = digest === undefined ? undefined : await source.get(object);
    if (!bytes) {
      report("object_unknown", object, "no witness policy has such a name");
      continue;
    }
    const text = readUtf8(bytes) ?? "";
    const policy = toHex(sha256(bytes)) === digest ? readPolicy(text) : "not of the digest in its name";
    const wrong = typeof policy === "string" ? policy : foreign(policy, log);
    if (typeof policy === "string" || wrong !== undefined) report("policy_malformed", object, wrong ?? "");
    else dated.push({ size: Number(size), at: Number(at), policy, text });
  }
  dated.sort(byPlace);
  if (root) await checkNewest(source, report, log, dated.at(-1)?.text);
  const said = held && foreign(held, log);
  if (said !== undefined) report("key_other", LOG_VKEY, `the auditor's policy ${said}`);
  const all = [...dated.map(({ policy }) => policy), ...(held ? [held] : [])];
  const witnesses: NoteKey[] = [];
  for (const key of all.flatMap((policy) => [...policy.witnesses.values()]))
    if (!witnesses.some((known) => sameKey(known, key))) witnesses.push(key);
  return { dated, held, witnesses };
}

const byPlace = (a: { size: number; at: number }, b: { size: number; at: number }): number =>
  a.size - b.size || a.at - b.at;

function foreign({ logs }: Policy, log: LogKeys | undefined): string | undefined {
  if (!log || logs.length === 0) return undefined;
  const own = [log.ed25519, log.mlDsa];
  return logs.some((key) => own.some((each) => sameKey(each, key)))
    ? undefined
    : `is of the log ${logs[0]?.name}, with another key or name`;
}

/** What readers find under the policy's plain name is the newest one. An archive from before there were several has the first. */
async function checkNewest(
  source: Source,
  report: Report,
  log: LogKeys | undefined,
  newest: string | undefined,
): Promise<void> {
  const bytes = await source.get(WITNESS_POLICY);
  const expected = newest ?? (log && policyText(log, NO_QUORUM));
  if (!bytes) report("object_missing", WITNESS_POLICY, "every archive has it");
  else if (expected !== undefined && !equal(bytes, utf8(expected)))
    report("policy_malformed", WITNESS_POLICY, `not the newest of ${WITNESS_POLICIES}`);
}

/** Reports checkpoints without the quorum of their time, those that follow each other together; and the auditor's quorum. */
export function checkQuorum({ report, policies }: Context, checkpoints: Cosigned[]): void {
  checkpoints.sort(byPlace);
  const { dated, held } = policies;
  let next = 0;
  let lacking: Cosigned[] = [];
  const tell = () => {
    const [first] = lacking;
    const last = lacking.at(-1);
    if (first && last)
      report(
        "checkpoint_uncosigned",
        first.object,
        first === last
          ? `cosigned by ${first.by.length} witnesses: not the quorum of its policy`
          : `${lacking.length} checkpoints, to ${last.object}, lack the quorum of their policy`,
      );
    lacking = [];
  };
  for (const checkpoint of checkpoints) {
    while (dated[next] && byPlace(dated[next] as Dated, checkpoint) <= 0) next += 1;
    const policy = dated[next - 1]?.policy;
    if (policy && !isMet(policy, checkpoint)) lacking.push(checkpoint);
    else tell();
  }
  tell();
  if (held) checkHeld(report, held, checkpoints);
}

const isMet = (policy: Policy, { by }: Cosigned): boolean =>
  meetsQuorum(policy, (key) => by.some((each) => sameKey(each, key)));

/** One cosigned checkpoint speaks for all entries below it: the newest must be one. */
function checkHeld(report: Report, held: Policy, checkpoints: readonly Cosigned[]): void {
  const newest = checkpoints.at(-1);
  if (!newest || isMet(held, newest)) return;
  const last = checkpoints.findLast((each) => isMet(held, each));
  const said = last ? `; ${last.object} does, of ${last.size} entries` : "; none does";
  report("checkpoint_uncosigned", CHECKPOINT, `it lacks the quorum of the auditor's policy${said}`);
}
