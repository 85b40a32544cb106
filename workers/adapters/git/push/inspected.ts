/** An operation with the questions it makes, as the pipeline takes it. */
import type { GitContained } from "#durable/format/frame.ts";
import type { GitOperation } from "#durable/format/operation.ts";
import type { Incoming, Inspected } from "../../adapter.ts";
import { abridged } from "../frames.ts";
import { type PushFacts, questionsOf } from "../questions.ts";

export type GitInspected = Inspected<GitOperation, GitContained>;
export type Around = Pick<Incoming, "connection" | "detectors" | "analysis"> &
  Pick<GitInspected, "outgoing" | "body">;

export function inspectedOf(
  operation: GitOperation,
  frames: GitInspected["frames"],
  { connection, outgoing, body }: Omit<Around, "detectors">,
  facts?: PushFacts,
  named?: GitInspected["named"],
): GitInspected {
  const short = abridged(operation);
  const questions = questionsOf(operation, connection, facts);
  return {
    operation,
    ...(short && { abridged: short }),
    questions,
    outgoing,
    body,
    frames,
    ...(named && { named }),
  };
}
