/** The evaluator as the gateway sees it, and the questions adapters ask of policy. */
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Answer } from "#durable/format/tape.ts";

/** A thing in the tree connection > repository > ref; `within` runs outward, so policies can say `resource in …`. */
export type Resource = {
  readonly type: "Connection" | "Repository" | "Ref";
  readonly id: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly within?: Resource;
};

export type ContextValue = string | number | boolean | readonly string[];

/** One authorization request. An operation asks one or more, and is allowed only when all are. */
export type Question = {
  /** What this question is about, in the client's words: a ref of a push, or "" for the whole operation. */
  readonly part: string;
  readonly action: "git.refs" | "git.fetch" | "git.push" | "git.create" | "git.delete" | "git.force";
  readonly resource: Resource;
  readonly context: Readonly<Record<string, ContextValue>>;
};

export interface Evaluator {
  decide(principal: Principal, questions: readonly Question[]): Promise<Answer<Decision>>;
}
