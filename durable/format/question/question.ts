/** What policy is asked: by an adapter about each part of an operation, with what holds for all of them. */
import type { Action, ResourceType } from "./action.ts";

/** A thing in the tree below its connection; `within` runs outward, so policies can say `resource in …`. */
export type Resource = {
  readonly type: ResourceType;
  /** The way to it, from its connection's name on: `payments/team/app/refs/heads/main`. */
  readonly id: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly within?: Resource;
};

export type ContextValue = string | number | boolean | readonly string[];

/** Paths one question may carry. What touches more says none of them, and is not `inspected`. */
export const PATHS_MAX = 10_000;

/** One authorization request. An operation asks one or more, and is allowed only when all are. */
export type Question = {
  /** What this question is about, in the client's words: a ref of a push, a tool of a list, or "" for the whole operation. */
  readonly part: string;
  readonly action: Action;
  readonly resource: Resource;
  /**
   * What the policy schema says of the action. For every action besides, each absent when it does not apply:
   * `paths`, what it touches: relative to the repository's root, or as the hook says; never with `..` or a leading `./`.
   * `findings`, ids of the detectors that found something. `severity`, the highest of them: 1 low to 4 critical.
   * `size`, in bytes. `inspected`, true only when all of the content was looked at, so that `paths` and `findings` are complete.
   */
  readonly context: Readonly<Record<string, ContextValue>>;
};

/** What holds for every question of one operation: the moment, and the session it is asked in. */
export type Facts = {
  /** In UTC. `day` is `2026-11-26`, `hour` 0 to 23, `weekday` 1 (Monday) to 7. */
  readonly now: { readonly day: string; readonly hour: number; readonly weekday: number };
  /** The program that speaks, as it says: `git/2.39.5`. */
  readonly client: string;
  /** What has happened in the session before: names of taints. */
  readonly taints: readonly string[];
};

/** `at` is milliseconds since 1970. */
export function momentOf(at: number): Facts["now"] {
  const date = new Date(at);
  return {
    day: date.toISOString().slice(0, 10),
    hour: date.getUTCHours(),
    weekday: date.getUTCDay() || 7,
  };
}
