/** Decisions as sealed sessions hold them, with what was asked: from a directory or a bucket, and nothing else. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { DecisionFrame, SessionStart } from "#durable/format/frame.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder, sessionKey } from "#durable/format/layout.ts";
import type { Principal } from "#durable/format/principal.ts";
import { type Asking, restore } from "#durable/format/question/asked.ts";
import { AgeUnreadable } from "#durable/proof/age/unreadable.ts";
import { unsealWith } from "#durable/proof/age/unseal.ts";
import { readSession } from "#durable/proof/read/session.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { isSealed, type Unsealed, type Unsealing } from "#durable/proof/read/unsealed.ts";
import { openHead } from "#durable/proof/seal.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { identitiesIn } from "#scripts/encrypted/identity.ts";
import { type BucketOptions, bucketSource, isBucketUrl } from "#scripts/verify/bucket.ts";
import { folderSource } from "#scripts/verify/folder.ts";

export type RecordedQuestion = {
  readonly session: string;
  readonly principal: Principal;
  readonly decision: DecisionFrame;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Undefined when the frame has no questions: an older recording, or too many to fit. */
  readonly asking: Asking | undefined;
};

/** Where what cannot be read is told. */
export type Say = (code: string, object: string, message: string) => void;

export type Place = {
  readonly source: Source;
  readonly below: string;
  /** Opens encrypted sessions, with an auditor's identity. */
  readonly unseal: Unsealing | undefined;
};

export type PlaceOptions = {
  readonly path: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  /** A file of age identities, and where session keys are when not beside the sessions. */
  readonly identity: string | undefined;
  readonly keys: string | undefined;
};

/** An archive, or one session's folder. Throws a sentence when it is neither. */
export async function placeOf(options: PlaceOptions, env: BucketOptions["env"]): Promise<Place> {
  const { path, endpoint, region, identity, keys } = options;
  if (keys !== undefined && identity === undefined)
    throw new UsageFault("--keys is where session keys are: give --identity FILE too, to open them with");
  const bucket = { endpoint, region, env };
  const { source, below } = isBucketUrl(path) ? inBucket(path, bucket) : await onDisk(path);
  if (identity === undefined) return { source, below, unseal: undefined };
  const given =
    keys === undefined ? source : isBucketUrl(keys) ? bucketSource(keys, bucket).source : folderSource(keys);
  return { source, below, unseal: unsealWith(given, await identitiesIn(identity)) };
}

function inBucket(path: string, options: BucketOptions) {
  const { source, only } = bucketSource(path, options);
  return { source, below: only === undefined ? "sessions/" : sessionFolder(only) };
}

async function onDisk(path: string) {
  const root = resolve(path);
  const found = await stat(root).catch((cause: unknown) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  if (!found.isDirectory()) throw new Error(`${path} is not a directory`);
  return { source: folderSource(root), below: "" };
}

/**
 * In the order of keys, and within a session as decided. `since` leaves out what was decided before, in milliseconds since
 * 1970. Throws when there is no sealed session. What is altered or missing is reported and left out; that nothing else is, is for `steno verify` to say.
 */
export async function* recordedQuestions(
  { source, below, unseal }: Place,
  since: number,
  report: Say,
): AsyncGenerator<RecordedQuestion> {
  let seals = 0;
  for await (const key of source.list(below)) {
    if (key !== SEAL_NAME && !key.endsWith(`/${SEAL_NAME}`)) continue;
    seals++;
    const seal = await source.get(key);
    const { statement, wrong } = seal ? await openHead(seal, undefined) : {};
    if (!statement) {
      report("head_malformed", key, wrong?.message ?? "the seal cannot be read");
      continue;
    }
    const { session, endedAt, segments } = statement.predicate;
    if (endedAt && Date.parse(endedAt) < since) continue;
    const folder = key.slice(0, key.length - SEAL_NAME.length);
    const frames = segments.filter(({ name }) => name.startsWith("frames-"));
    const opened = frames.some(isSealed) ? await openedBy(unseal, session) : undefined;
    if (typeof opened === "string") report("session_encrypted", folder || session, opened);
    else
      yield* questionsIn(
        { source, folder, segments: frames, report, whole: false, unsealed: opened },
        session,
        since,
      );
  }
  if (seals === 0) throw new Error("there is no sealed session here");
}

/** What opens the session's segments, or why nothing does. */
async function openedBy(unseal: Unsealing | undefined, session: SessionId): Promise<Unsealed | string> {
  if (!unseal) return "it is encrypted: give --identity FILE, and --keys where session keys are elsewhere";
  try {
    const own = await unseal.keyOf(session);
    return own ? unseal.open(own) : `its key is not there: ${sessionKey(session)}`;
  } catch (error) {
    if (!(error instanceof AgeUnreadable)) throw error;
    return `its key is not for this identity: ${error.message}`;
  }
}

async function* questionsIn(
  sealed: Parameters<typeof readSession>[0],
  session: string,
  since: number,
): AsyncGenerator<RecordedQuestion> {
  let start: SessionStart | undefined;
  for await (const item of readSession(sealed)) {
    if (item.kind === "skipped" || !item.frame) continue;
    const { frame, at = 0 } = item;
    if (frame.k === "session.start") start = frame;
    if (frame.k !== "decision" || !start || at < since) continue;
    const { asked } = frame;
    const asking = asked && "questions" in asked ? restore(asked) : undefined;
    const { agent, ...person } = start.principal;
    const principal: Principal = {
      ...person,
      groups: asking ? [...asking.groups] : person.groups,
      ...(agent !== undefined && { agent }),
    };
    yield { session, principal, decision: frame, at, asking };
  }
}
