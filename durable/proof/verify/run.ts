/** How a run of the verifier begins, with whose keys, and how it ends. */
import { LOG_VKEY, SEAL_PUB } from "#durable/format/layout.ts";
import { type Bytes, readUtf8 } from "../bytes.ts";
import type { Finding, Findings, Verdict } from "../finding.ts";
import { importSealKey, KeyUnreadable, readPem, type SealKey, toPem } from "../key.ts";
import type { LogKeys } from "../log/checkpoint.ts";
import type { Policy } from "../log/policy.ts";
import type { Source } from "../read/source.ts";
import type { Unsealing } from "../read/unsealed.ts";
import type { Certificate } from "../timestamp/certificate.ts";
import { type Context, contextOf, type Progress } from "./context.ts";
import type { Gather } from "./crew.ts";
import type { Ledger } from "./ledger.ts";
import { readLogKeys } from "./log/keys.ts";
import { readPolicies } from "./log/policies.ts";
import { readAuthorities } from "./log/timestamps.ts";
import type { LogState } from "./log/tree.ts";
import type { SessionPlace } from "./session.ts";

export type VerifyOptions = {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The key the auditor holds. Without it the archive's own is used, and proves only that it is one archive. */
  readonly key?: SealKey;
  /** The ledger's name. Without it, the one most heads have. */
  readonly origin?: string;
  /** The log's keys as the auditor holds them. */
  readonly log?: LogKeys;
  /** The witness policy as the auditor holds it: the newest checkpoint must satisfy it, whatever the archive's own says. */
  readonly policy?: Policy;
  /** Certificates of timestamp authorities that the auditor trusts: every checkpoint and every seal must have their timestamp. */
  readonly tsa?: readonly Certificate[];
  /** A checkpoint the auditor saw earlier: the log must extend it. */
  readonly since?: LogState;
  /** The source is the store: what it says of retention is checked. */
  readonly retention?: boolean;
  readonly packMax?: number;
  /** `yyyy-mm-dd`: only sessions of that UTC day are verified, and the whole log. */
  readonly day?: string;
  /** Who helps: sessions, and segments of large ones, are verified there. Without it, all of it here, one after another. */
  readonly crew?: Gather;
  readonly progress?: Progress;
  /** Opens encrypted sessions, with an auditor's identity. */
  readonly unseal?: Unsealing;
};

export type Verified = Verdict & {
  readonly sessions: number;
  readonly frames: number;
  readonly findings: readonly Finding[];
  /** Hint of the key that signatures were checked with, and whose it was. */
  readonly key: { readonly hint: string; readonly from: "auditor" | "archive" } | undefined;
  /** The newest checkpoint, when the whole log was verified and all its entries make it. */
  readonly log?: LogState;
};

/** `root`: the source is that of a whole archive. */
export async function begin(
  source: Source,
  options: VerifyOptions,
  findings: Pick<Findings, "report" | "add">,
  root: boolean,
): Promise<Context> {
  const { report } = findings;
  const { now, retention = false, packMax = 256 * 1024 * 1024 } = options;
  const stored = await source.get(SEAL_PUB);
  let published: SealKey | undefined;
  if (!stored) {
    if (root) report("key_missing", SEAL_PUB, "the archive does not have the key that signs its heads");
  } else {
    const read = await readStoredKey(stored);
    if (typeof read === "string") report("key_malformed", SEAL_PUB, read);
    else published = read;
  }
  if (published && options.key && published.hint !== options.key.hint)
    report("key_other", SEAL_PUB, `key ${published.hint}; the auditor holds ${options.key.hint}`);
  const tsa = await readAuthorities(source, report, options.tsa);
  const log = await readLogKeys(source, report, options.log, tsa.chains, root);
  if (log && options.origin !== undefined && log.ed25519.name !== options.origin)
    report("key_other", LOG_VKEY, `of the log ${log.ed25519.name}, not of ${options.origin}`);
  const key = options.key ?? published;
  if (!key) report("key_none", SEAL_PUB, "no signature can be checked: give the key that signs the heads");
  const policies = await readPolicies(source, report, log, options.policy, root);
  const seed = { spki: key?.spki, log, logs: [], policies, tsa, now, retention, packMax };
  const context = await contextOf(source, seed, findings);
  const { progress, unseal } = options;
  return { ...context, ...(progress && { progress }), ...(unseal && { open: unseal.open }) };
}

/** The key of a stored PEM, or what is wrong with it: no byte of it is free, save the last LF, which may be absent. */
async function readStoredKey(stored: Bytes): Promise<SealKey | string> {
  try {
    const text = readUtf8(stored) ?? "";
    const key = await importSealKey(readPem(text));
    return [text, `${text}\n`].includes(toPem(key.spki)) ? key : "not written as a PEM is";
  } catch (error) {
    if (error instanceof KeyUnreadable) return error.message;
    throw error;
  }
}

export function checkKey(
  { report, key }: Context,
  options: VerifyOptions,
  { entries, signed }: Ledger,
): void {
  if (key && !options.key && entries > 0 && signed === 0)
    report("key_other", SEAL_PUB, `key ${key.hint} signed none of the ${entries} heads in the ledger`);
}

export function conclude(
  findings: Findings,
  { key }: Context,
  options: VerifyOptions,
  seen: { readonly sessions: number; readonly frames: number },
): Verified {
  const from = options.key ? "auditor" : "archive";
  return { ...findings.verdict, ...seen, findings: findings.list(), key: key && { hint: key.hint, from } };
}

export const entriesOf = ({ sessions }: Pick<Ledger, "sessions">, session: string): SessionPlace["entries"] =>
  (sessions.get(session) ?? []).map(({ object, trusted }) => ({ object, trusted }));
