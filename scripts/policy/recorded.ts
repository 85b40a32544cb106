/** Decisions as sealed sessions hold them, with what was asked: from a directory or a bucket, and nothing else. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { DecisionFrame, SessionStart } from "#durable/format/frame.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import type { Principal } from "#durable/format/principal.ts";
import { type Asking, restore } from "#durable/format/question/asked.ts";
import type { Report } from "#durable/proof/finding.ts";
import { readSession } from "#durable/proof/read/session.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { openHead } from "#durable/proof/seal.ts";
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

export type Place = { readonly source: Source; readonly below: string };

/** An archive, or one session's folder. Throws a sentence when it is neither. */
export async function placeOf(path: string, options: BucketOptions): Promise<Place> {
  if (isBucketUrl(path)) {
    const { source, only } = bucketSource(path, options);
    return { source, below: only === undefined ? "sessions/" : sessionFolder(only) };
  }
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
  { source, below }: Place,
  since: number,
  report: Report,
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
    yield* questionsIn({ source, folder, segments: frames, report, whole: false }, session, since);
  }
  if (seals === 0) throw new Error("there is no sealed session here");
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
