/** An archive, or one day or session of it, from bytes alone to findings and two verdicts. */
import * as v from "valibot";
import { dayOf, SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import { Findings } from "../finding.ts";
import type { Source } from "../read/source.ts";
import { ahead } from "./ahead.ts";
import { type Context, seedOf } from "./context.ts";
import { isWorthwhile, Meter, verifyBy } from "./crew.ts";
import { checkIndex, type Entry, type SessionSize } from "./ledger.ts";
import { checkProbes } from "./log/probes.ts";
import { checkLogRetention } from "./log/retention.ts";
import { readShards, type Shard, sessionsOf, verifyShards } from "./log/shards.ts";
import { conclude, entriesOf, type Verified, type VerifyOptions } from "./run.ts";
import { ownKey } from "./sealed/opener.ts";
import type { SessionPlace } from "./session.ts";

export type { Verified, VerifyOptions } from "./run.ts";

/** The whole archive, or with `only` what concerns one session. */
export async function verifyArchive(
  source: Source,
  options: VerifyOptions,
  only?: SessionId,
): Promise<Verified> {
  const findings = new Findings();
  const extent = only ? ({ of: "session", session: only } as const) : ({ of: "all" } as const);
  const shards = await readShards(source, options, findings, extent);
  const context = contextOfAll(shards, source, findings);
  const log = only ? undefined : await verifyShards(shards, options.since, findings.report);
  if (!only) await checkProbes(context);
  for (const shard of shards) {
    if (context.retention) await checkLogRetention(shard.context, shard.ledger.made);
    for (const index of shard.ledger.indexes) await checkIndex(context, index);
  }
  const ledger = { sessions: sessionsOf(shards) };
  const erasures = new Map(shards.flatMap((shard) => [...shard.ledger.erasures]));
  const asked = { only, day: options.day };
  const sessions = [...ledger.sessions].filter(([session]) => isAsked(session, asked));
  const sizes = new Map(sessions.map(([session, entries]) => [session, sizeOf(entries)]));
  const of = [...sizes.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const crew = isWorthwhile([...sizes.values()]) ? options.crew?.(seedOf(context)) : undefined;
  const meter = new Meter(of, options.progress);
  const seen = new Set<string>();
  let frames = 0;
  const origins = originsOf(shards, options);
  const whole = (
    place: Pick<SessionPlace, "folder" | "names"> & { readonly session: SessionId },
  ): SessionPlace => {
    const { session } = place;
    seen.add(session);
    const [entries, erasure] = [entriesOf(ledger, session), erasures.get(session)];
    return { ...place, ledger: true, origins, entries, erasure, key: undefined };
  };
  async function* places(): AsyncGenerator<SessionPlace> {
    for await (const place of sessionFolders(context, asked)) yield whole(place);
    for (const session of only ? [only] : sizes.keys())
      if (!seen.has(session) && isSessionId(session))
        yield whole({ session, folder: sessionFolder(session), names: [] });
  }
  const verify = async (bare: SessionPlace) => {
    const session = v.safeParse(SessionId, bare.session);
    const key = session.success ? await ownKey(options.unseal, session.output) : undefined;
    const place = { ...bare, key };
    const size = sizes.get(place.session ?? "") ?? NOTHING;
    const verified = await verifyBy(crew, context, place, size, meter);
    meter.finish(size.bytes, place);
    return verified;
  };
  for await (const verified of ahead(crew ? crew.width * 2 : 1, places(), verify)) {
    context.add(verified.found);
    frames += verified.frames;
  }
  return { ...conclude(findings, context, options, { sessions: seen.size, frames }), ...(log && { log }) };
}

/** Of one log, what is asked for, or else what most heads say. */
function originsOf(shards: readonly Shard[], { origin }: VerifyOptions): readonly string[] {
  if (shards.length === 1 && origin !== undefined) return [origin];
  return shards.flatMap(({ context, ledger }) =>
    shards.length === 1 ? (ledger.origin ?? []) : (context.log?.ed25519.name ?? ledger.origin ?? []),
  );
}

/** Sessions lie at the archive's root, and their heads are in any of its logs. */
function contextOfAll(shards: readonly Shard[], source: Source, findings: Findings): Context {
  const [first] = shards;
  if (!first) throw new Error("an archive without a first log");
  if (shards.length === 1) return first.context;
  const logs = shards.flatMap(({ context }) => context.log ?? []);
  const witnesses = shards.flatMap(({ context }) => context.policies.witnesses);
  const { report } = findings;
  const policies = { ...first.context.policies, witnesses };
  return { ...first.context, source, report, logs, policies, opened: new Map() };
}

type Asked = { readonly only: SessionId | undefined; readonly day: string | undefined };

const isAsked = (session: string, { only, day }: Asked): boolean =>
  only !== undefined
    ? session === only
    : day === undefined || (isSessionId(session) && dayOf(session) === day);

const NOTHING: SessionSize = { segments: 0, bytes: 0 };
const sizeOf = (entries: readonly Entry[]): SessionSize => entries.at(-1)?.size ?? NOTHING;

const isSessionId = (text: string): text is SessionId => v.is(SessionId, text);

const FOLDER = /^(sessions\/\d{4}\/\d\d\/\d\d\/(ses_[^/]+)\/)([^/]+)$/;

/** Keys come ascending, so the objects of a folder come together: one folder's names are held at a time. */
async function* sessionFolders({ source, report }: Context, { only, day }: Asked) {
  const prefix =
    only !== undefined
      ? sessionFolder(only)
      : day !== undefined
        ? `sessions/${day.replaceAll("-", "/")}/`
        : "sessions/";
  let open: { readonly session: SessionId; readonly folder: string; readonly names: string[] } | undefined;
  for await (const key of source.list(prefix)) {
    const [, folder = "", session = "", name = ""] = FOLDER.exec(key) ?? [];
    if (!isSessionId(session) || sessionFolder(session) !== folder) {
      report("object_unknown", key, "no session is filed there");
      continue;
    }
    if (open?.folder !== folder) {
      if (open) yield open;
      open = { session, folder, names: [name] };
    } else {
      open.names.push(name);
    }
  }
  if (open) yield open;
}
