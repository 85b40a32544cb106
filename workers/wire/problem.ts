/** Errors of our own as RFC 9457 problem documents. */

import { Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import type { Answer } from "#durable/format/tape.ts";
import { letGo } from "#workers/contract/let-go.ts";

export const PROBLEM_TYPE = "application/problem+json";

export type Problem = {
  /** `urn:steno:refusal:<code>`. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The id by which record and log know this occurrence. */
  readonly instance?: string;
  /** The hold that it is about: sent back as `steno-approval` it is the retry's token. */
  readonly approval?: string;
  /** For refusals of several parts, such as the refs of a push. */
  readonly parts?: readonly { readonly part: string; readonly reason: string }[];
};

const TITLES: Readonly<Record<RefusalCode, string>> = {
  malformed: "The request is not understood",
  unauthenticated: "Not authenticated",
  denied: "Denied",
  approval_pending: "Not approved yet",
  approval_over: "The approval is over",
  unknown_connection: "No such connection",
  unknown_path: "Not found",
  not_yours: "Not yours",
  session_ended: "The session has ended",
  stale: "The session changed meanwhile",
  not_erasable: "It cannot be erased, or held",
  too_large: "Too large",
  rate_limited: "Too many requests",
  upstream_unreachable: "The upstream cannot be reached",
  upstream_protocol: "The upstream answered wrongly",
  not_recorded: "It could not be recorded",
  backlog_full: "Too much waits for the archive",
  identity_unavailable: "The identity provider cannot be reached",
  policy_unavailable: "No policy can be asked",
  upstream_timeout: "The upstream did not answer in time",
  fault: "Something is wrong inside the gateway",
};

/** A refusal's sentence and parts, never its cause. `instance` is the id of the exchange or request. */
export function problem(refusal: Refusal, instance?: string): Response {
  const response = document({
    type: `urn:steno:refusal:${refusal.code}`,
    title: TITLES[refusal.code],
    status: refusal.status,
    detail: refusal.message,
    ...(instance === undefined ? {} : { instance }),
    ...(refusal.approval === undefined ? {} : { approval: refusal.approval }),
    ...(refusal.parts.length === 0 ? {} : { parts: refusal.parts }),
  });
  if (refusal.later !== undefined) response.headers.set("retry-after", String(refusal.later));
  return response;
}

/** What an isolate answered, or its no as the Refusal it was. */
export function granted<T>(answer: Answer<T>): T {
  letGo(answer);
  if ("no" in answer) {
    const { code, message, later, taints } = answer.no;
    throw new Refusal(code, message, { later, taints });
  }
  return answer.ok;
}

function document(body: Problem): Response {
  return new Response(JSON.stringify(body), {
    status: body.status,
    headers: {
      "content-type": PROBLEM_TYPE,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}
