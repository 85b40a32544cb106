/** A typed no. Expected, recorded, and put into the protocol's own words by the adapter. */
export const REFUSALS = {
  /** The request is not what its protocol says it should be. */
  malformed: 400,
  unauthenticated: 401,
  denied: 403,
  /** Nobody has decided yet: the same again, once somebody has approved it. */
  approval_pending: 409,
  /** An approval that is decided, used, void or too old: nothing can be done by it or about it any more. */
  approval_over: 409,
  unknown_connection: 404,
  unknown_path: 404,
  not_yours: 403,
  session_ended: 409,
  /** What the decision was made on changed while it was made, again and again. */
  stale: 409,
  /** A session that is not sealed, not encrypted, or under a legal hold cannot be erased; nor can one be held that is. */
  not_erasable: 409,
  too_large: 413,
  rate_limited: 429,
  upstream_unreachable: 502,
  upstream_protocol: 502,
  /** The recorder cannot write: no record, no traffic. */
  not_recorded: 503,
  /** Too much waits for the archive: no new sessions until it has been stored. */
  backlog_full: 503,
  identity_unavailable: 503,
  policy_unavailable: 503,
  upstream_timeout: 504,
  /** A bug: nothing was forwarded, and the id leads to the log. */
  fault: 500,
} as const;

export type RefusalCode = keyof typeof REFUSALS;

export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  /** For operations of several parts: the no for each part. */
  readonly parts: readonly { readonly part: string; readonly reason: string }[];
  /** Seconds after which it is worth trying again, where that is known. */
  readonly later: number | undefined;
  /** Of `stale`: what the session has to its name by now. */
  readonly taints: readonly string[] | undefined;

  /** The hold that it is about. */
  readonly approval: string | undefined;
  /** Where people decide on it. */
  readonly link: string | undefined;

  /** `message` is one sentence the client may read; internals belong in `cause`, which only the record gets. */
  constructor(
    code: RefusalCode,
    message: string,
    options: {
      cause?: unknown;
      parts?: readonly { readonly part: string; readonly reason: string }[];
      later?: number | undefined;
      taints?: readonly string[] | undefined;
      approval?: string;
      link?: string;
    } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : {});
    this.code = code;
    this.parts = options.parts ?? [];
    this.later = options.later;
    this.taints = options.taints;
    this.approval = options.approval;
    this.link = options.link;
  }

  get status(): number {
    return REFUSALS[this.code];
  }
}
