/** Everything the page says follows from here: the same verifier as the command line's, and the replay of what it read. */

import type { Statement } from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { LOG_PQ_VKEY, LOG_VKEY, SEAL_NAME, SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import { readUtf8 } from "#durable/proof/bytes.ts";
import { importSealKey, KeyUnreadable, readPem, type SealKey } from "#durable/proof/key.ts";
import { readSession } from "#durable/proof/read/session.ts";
import { type ReplayItem, replaySession } from "#durable/proof/replay/replay.ts";
import { openHead } from "#durable/proof/seal.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import type { Embedded } from "./embedded.ts";
import { againstHint, type HeldKeys } from "./held-key.ts";

export type Examined = {
  readonly verified: Verified;
  /** What the auditor gave, and whether it was there to hold the evidence against. */
  readonly held: { readonly seal: boolean; readonly log: boolean };
  readonly published: SealKey | undefined;
};

/** Verifies the session, by the auditor's keys where there are some. `now` is milliseconds since 1970. */
export async function examine(embedded: Embedded, held: HeldKeys, now: number): Promise<Examined> {
  const published = await publishedKey(embedded);
  const compared = held.key ?? (held.hint === undefined ? undefined : againstHint(held.hint, published));
  const other = compared && "code" in compared ? compared : undefined;
  const key = compared && !("code" in compared) ? compared : undefined;
  const options = { now, ...(key && { key }), ...(held.log && { log: held.log }) };
  const verified = await verifyArchive(embedded.source, options, embedded.session);
  return {
    verified: other
      ? { ...verified, integrity: "INVALID", findings: [other, ...verified.findings] }
      : verified,
    held: { seal: compared !== undefined, log: held.log !== undefined },
    published,
  };
}

async function publishedKey({ objects }: Embedded): Promise<SealKey | undefined> {
  try {
    return await importSealKey(readPem(readUtf8(objects.get(SEAL_PUB) ?? new Uint8Array()) ?? ""));
  } catch (error) {
    if (error instanceof KeyUnreadable) return undefined;
    throw error;
  }
}

export type Opened = { readonly statement: Statement; readonly items: readonly ReplayItem[] };

/** The replay of the seal, or without one of the newest head that can be read. Undefined when there is none. */
export async function openReplay(embedded: Embedded): Promise<Opened | undefined> {
  const { session, source, objects } = embedded;
  const folder = sessionFolder(session);
  const statement = await newestHead(objects, folder, session);
  if (!statement) return undefined;
  const { segments } = statement.predicate;
  // What is wrong with them is in the verifier's findings already.
  const read = readSession({ source, folder, segments, report: () => undefined, whole: false });
  return { statement, items: await replaySession(read) };
}

async function newestHead(
  objects: Embedded["objects"],
  folder: string,
  session: SessionId,
): Promise<Statement | undefined> {
  const entries = [...objects.keys()]
    .filter((key) => key.startsWith("log/entry/"))
    .sort((a, b) => b.length - a.length || (a < b ? 1 : -1));
  for (const key of [`${folder}${SEAL_NAME}`, ...entries]) {
    const bytes = objects.get(key);
    const statement = bytes && (await openHead(bytes, undefined)).statement;
    if (statement?.predicate.session === session) return statement;
  }
  return undefined;
}

export const logKeyTexts = ({ objects }: Embedded): string[] =>
  [LOG_VKEY, LOG_PQ_VKEY].map((key) => (readUtf8(objects.get(key) ?? new Uint8Array()) ?? "").trim());
