/** Encrypted sessions: what opens them, and what is said when nothing does. */
import type { Head } from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { sessionKey } from "#durable/format/layout.ts";
import { AgeUnreadable } from "../../age/unreadable.ts";
import type { Unsealing } from "../../read/unsealed.ts";
import type { Context } from "../context.ts";

/** What the log says of a session that was erased. */
export type Erasure = {
  /** Of the entry that says so: the last, when there are two. */
  readonly index: number;
  readonly at: string;
  readonly reason: string;
  readonly state: "begun" | "done";
};

/** A session's key as it was found with an auditor's identity. Plain values: sessions are verified elsewhere. */
export type OwnKey =
  | { readonly kind: "opened"; readonly own: readonly string[] }
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly why: string };

/** Undefined without an identity. */
export async function ownKey(
  unsealing: Unsealing | undefined,
  session: SessionId | undefined,
): Promise<OwnKey | undefined> {
  if (!unsealing || session === undefined) return undefined;
  try {
    const own = await unsealing.keyOf(session);
    return own ? { kind: "opened", own } : { kind: "missing" };
  } catch (error) {
    if (!(error instanceof AgeUnreadable)) throw error;
    return { kind: "unreadable", why: error.message };
  }
}

/** What opens the segments under `head`. Without it the frames are not read, and what of the verdicts heads can tell is told. */
export function openerFor(
  context: Context,
  folder: string,
  head: Head,
  key: OwnKey | undefined,
  erasure: Erasure | undefined,
): readonly string[] | undefined {
  const { encryption } = head;
  if (encryption === "none") return undefined;
  if (erasure) reportErasure(context, folder, erasure);
  else if (!key) {
    const bytes = head.segments.reduce((sum, segment) => sum + segment.bytes, 0);
    context.report(
      "session_sealed",
      folder,
      `encrypted to ${encryption.recipient}: its ${head.head.size} frames in ${bytes} bytes were not read`,
    );
  }
  if (key) reportKey(context, head, key, erasure);
  if (key?.kind === "opened") return key.own;
  reportFromHead(context, folder, head);
  return undefined;
}

function reportKey({ report }: Context, { session }: Head, key: OwnKey, erasure: Erasure | undefined): void {
  const object = sessionKey(session);
  switch (key.kind) {
    case "opened":
      if (erasure?.state === "done")
        report(
          "session_key_kept",
          object,
          `log entry ${erasure.index} says that it was destroyed, and it opens`,
        );
      break;
    case "missing":
      if (!erasure)
        report(
          "session_key_missing",
          object,
          "it is not there, and no entry of the log says that it was destroyed",
        );
      break;
    case "unreadable":
      report("session_key_unreadable", object, key.why);
      break;
  }
}

function reportErasure({ report }: Context, folder: string, { index, at, reason, state }: Erasure): void {
  if (state === "done")
    report("session_erased", folder, `erased on ${at}, by log entry ${index} (${reason})`);
  else
    report(
      "erasure_open",
      folder,
      `to be erased since ${at}, by log entry ${index} (${reason}); no entry says that it was done`,
    );
}

/** Of frames that were not read, the last head says at least these two things. */
function reportFromHead({ report }: Context, folder: string, { status, counts }: Head): void {
  if (status === "truncated") report("session_truncated", folder, "its last head says so");
  if (counts.gaps > 0) report("session_gap", folder, `its last head counts ${counts.gaps}`);
}
