/** The in-toto statement of a head: its subjects from its parts, and its bytes. */
import * as v from "valibot";
import {
  type Head,
  PREDICATE_TYPE,
  type SegmentEntry,
  STATEMENT_TYPE,
  Statement,
  type Subject,
} from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import { type Bytes, readUtf8, utf8 } from "./bytes.ts";

/** A commit that a session pushed, by the ref it was pushed to. */
export type PushedCommit = { readonly ref: string; readonly oid: string };

export function segmentSubject(session: SessionId, segment: SegmentEntry): Subject {
  return { name: `${sessionFolder(session)}${segment.name}`, digest: { sha256: segment.sha256 } };
}

export function makeStatement(head: Head, commits: readonly PushedCommit[]): Statement {
  return {
    _type: STATEMENT_TYPE,
    subject: [
      ...head.segments.map((segment) => segmentSubject(head.session, segment)),
      ...commits.map(({ ref, oid }): Subject => ({ name: ref, digest: { gitCommit: oid } })),
    ],
    predicateType: PREDICATE_TYPE,
    predicate: head,
  };
}

export const encodeStatement = (statement: Statement): Bytes => utf8(JSON.stringify(statement));

/** The statement of payload bytes, or what is wrong with them. */
export function readStatement(payload: Uint8Array): Statement | string {
  const text = readUtf8(payload);
  if (text === undefined) return "the payload is not UTF-8";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The payload is signed: that it is no JSON is all there is to say, the parser's words add nothing.
    return "the payload is not JSON";
  }
  const parsed = v.safeParse(Statement, json);
  return parsed.success ? parsed.output : v.summarize(parsed.issues);
}
