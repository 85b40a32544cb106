/** What policies see of a push beside its commands: people, signatures, paths, sizes. */
import type { Changes, Commit, PackSummary } from "#durable/format/frame.ts";
import { type ContextValue, PATHS_MAX } from "#durable/format/question/question.ts";
import type { NewFindings } from "../push/new-findings.ts";
import type { PushFacts } from "../questions.ts";

export type Read = {
  readonly summary: PackSummary;
  readonly commits: readonly Commit[];
  readonly changes: readonly Changes[];
  /** Whether all of it was read and compared. */
  readonly whole: boolean;
  readonly findings: NewFindings | undefined;
};

const EMAIL = /<([^<>]*)>/;

/**
 * `paths` of a ref are those it changes, and those that any commit of the push touches on the way: what is added by one
 * commit and taken back by the next is in the history all the same. `size` is the same for each ref: of all the push brings.
 */
export function factsOf({ summary, commits, changes, whole, findings }: Read): PushFacts {
  const people = (of: "author" | "committer"): readonly string[] => [
    ...new Set(commits.map((commit) => EMAIL.exec(commit[of])?.[1] ?? commit[of])),
  ];
  const known = summary.scanned === "all" && summary.largest !== undefined;
  const all: Record<string, ContextValue> = {
    commits: commits.length,
    unsigned: commits.filter(({ signed }) => !signed).length,
    authors: people("author"),
    committers: people("committer"),
    ...(known && { largest: summary.largest ?? 0, size: summary.bytes ?? 0 }),
  };
  const passing = changes.filter(({ commit }) => commit !== undefined);
  const of = (ref: string): Record<string, ContextValue> => {
    // What was not looked at is not said to be nothing.
    if (!known) return { inspected: false };
    const found = findings?.of(ref) ?? {};
    const touched = [...changes.filter((each) => each.ref === ref), ...passing].flatMap(({ paths }) => paths);
    const paths = [...new Set(touched.map(({ path }) => path))];
    const few = paths.length <= PATHS_MAX;
    const distinct = (words: readonly string[]): readonly string[] => [...new Set(words)].sort();
    return {
      ...(few && { paths }),
      files: paths.length,
      changes: distinct(touched.map(({ status }) => status)),
      modes: distinct(touched.map(({ modes }) => modes[1]).filter((mode) => mode !== "000000")),
      odd: distinct(touched.flatMap(({ odd }) => odd ?? [])),
      ...found,
      inspected: whole && few,
    };
  };
  return { all, of };
}
