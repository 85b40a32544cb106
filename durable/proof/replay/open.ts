/** Opens a session for replay from its stored objects, by its seal or else by the newest of its heads that can be read. */
import type { Statement } from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import { readSession } from "../read/session.ts";
import type { Source } from "../read/source.ts";
import { openHead } from "../seal.ts";
import { type ReplayItem, replaySession } from "./replay.ts";

export type OpenedReplay = { readonly statement: Statement; readonly items: readonly ReplayItem[] };

/** Says nothing of what is wrong: that is the verifier's. Undefined when there is no head that can be read. */
export async function openReplay(source: Source, session: SessionId): Promise<OpenedReplay | undefined> {
  const folder = sessionFolder(session);
  const statement = await newestHead(source, folder, session);
  if (!statement) return undefined;
  const { segments } = statement.predicate;
  const read = readSession({ source, folder, segments, report: () => undefined, whole: false });
  return { statement, items: await replaySession(read) };
}

async function newestHead(
  source: Source,
  folder: string,
  session: SessionId,
): Promise<Statement | undefined> {
  const seal = await headOf(source, `${folder}${SEAL_NAME}`, session);
  if (seal) return seal;
  const entries: string[] = [];
  for await (const key of source.list("log/entry/")) entries.push(key);
  // By their index, the newest first.
  for (const key of entries.sort((a, b) => b.length - a.length || (a < b ? 1 : -1))) {
    const head = await headOf(source, key, session);
    if (head) return head;
  }
  return undefined;
}

async function headOf(source: Source, key: string, session: SessionId): Promise<Statement | undefined> {
  const bytes = await source.get(key);
  const statement = bytes && (await openHead(bytes, undefined)).statement;
  return statement?.predicate.session === session ? statement : undefined;
}
