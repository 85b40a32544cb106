/** What is verified without its archive: one session's folder, or one head. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME } from "#durable/format/layout.ts";
import { Findings } from "../finding.ts";
import type { Source } from "../read/source.ts";
import { openHead, openSaid, stampOf } from "../seal.ts";
import { checkHead, isTerminal } from "./heads.ts";
import { originOf, readLedger } from "./ledger.ts";
import { checkEntry } from "./log/entry.ts";
import { reportUnstamped } from "./log/timestamps.ts";
import { begin, checkKey, conclude, entriesOf, type Verified, type VerifyOptions } from "./run.ts";
import { ownKey } from "./sealed/opener.ts";
import { verifySession } from "./session.ts";

/** One session's objects in a folder of their own, perhaps with `log/entry/…` and `trust/seal.pub` beside them. */
export async function verifyFolder(
  source: Source,
  options: VerifyOptions,
  session?: SessionId,
): Promise<Verified> {
  const findings = new Findings();
  const context = await begin(source, options, findings, false);
  const ledger = await readLedger(context, { of: "copied" });
  checkKey(context, options, ledger);
  const names: string[] = [];
  for await (const key of source.list("")) {
    if (!key.includes("/")) names.push(key);
    else if (!/^(log|trust|keys)\//.test(key))
      context.report("object_unknown", key, "no object of a session lies there");
  }
  const whose = session ?? (await sealedSession(source)) ?? [...ledger.sessions.keys()][0];
  const entries = whose === undefined ? [] : entriesOf(ledger, whose);
  const erasure = whose === undefined ? undefined : ledger.erasures.get(whose);
  const known = v.safeParse(SessionId, whose);
  const key = known.success ? await ownKey(options.unseal, known.output) : undefined;
  const place = { session: whose, folder: "", names, entries, ledger: ledger.entries > 0, erasure, key };
  const frames = await verifySession(context, { ...place, origins: asList(options.origin ?? ledger.origin) });
  return conclude(findings, context, options, { sessions: 1, frames });
}

const asList = (origin: string | undefined): readonly string[] => (origin === undefined ? [] : [origin]);

async function sealedSession(source: Source): Promise<string | undefined> {
  const bytes = await source.get(SEAL_NAME);
  return bytes && (await openHead(bytes, undefined)).statement?.predicate.session;
}

/** One head as it is stored: its signature, its place in the log, what it says by itself. No frames are read. */
export async function verifyBundle(
  source: Source,
  options: VerifyOptions,
  object: string,
): Promise<Verified> {
  const findings = new Findings();
  const context = await begin(source, options, findings, false);
  const { report } = findings;
  const bytes = await source.get(object);
  const { bundle, statement, wrong } = bytes ? await openSaid(bytes, context.key) : {};
  if (!bytes) report("object_missing", object, "it is not there");
  if (wrong) report(wrong.code, object, wrong.message);
  const [, index] = /(?:^|\/)(\d+)\.sigstore\.json$/.exec(object) ?? [];
  if (bundle)
    await checkEntry(context, object, bundle, !wrong, index === undefined ? undefined : Number(index));
  if (statement) {
    const origin = options.origin ?? context.log?.ed25519.name ?? originOf(statement);
    checkHead({ object, statement, trusted: !wrong }, statement.predicate.session, [origin], report);
    if (bundle && isTerminal(statement.predicate))
      reportUnstamped(context, object, stampOf(bundle) !== undefined);
  }
  return conclude(findings, context, options, { sessions: 0, frames: 0 });
}
