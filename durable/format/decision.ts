/** What policy says of an operation, and which policies said so. */
export type Decision = {
  readonly verdict: "allow" | "deny";
  /** Ids of the policies that determined it; empty when no policy applied (default deny). */
  readonly policies: readonly string[];
  /** SHA-256 of the policy set, lower-case hex. */
  readonly set: string;
  /** What the person reads: the `@reason` of the deciding policies, or why nothing applied. */
  readonly reason: string;
  /** What was denied, for operations of several parts: refs of a push. Empty when all or nothing. */
  readonly denied: readonly Denied[];
};

export type Denied = { readonly part: string; readonly reason: string };
