/** An exchange that waits for approval: what it knows of that, and how it is released. */
import { createHash } from "node:crypto";
import type { HoldNews } from "#durable/format/approval/approval.ts";
import type { Decision } from "#durable/format/decision.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { granted } from "#workers/wire/problem.ts";
import { clear } from "../clear.ts";
import { decide } from "../decision/decide.ts";
import type { Cleared, Means, Recorded } from "../exchange.ts";
import { ask } from "../settle.ts";

export type Held = Recorded & { readonly news: HoldNews };

/** Its body is in the record from now on, and nowhere else: what waits takes disk, and no memory. */
export function inRecord(recorded: Recorded): Recorded {
  // What read it would keep what it has read.
  const { unread: _, unsettled: __, ...inspected } = recorded.inspected;
  const { session } = recorded;
  const { body } = inspected;
  if (body.kind === "spooled")
    return { ...recorded, inspected: { ...inspected, body: { ...body, rest: nothing } } };
  if (body.kind !== "whole") return { ...recorded, inspected };
  const sha256 = createHash("sha256").update(body.bytes).digest("hex");
  const spooled = { kind: "spooled", session, length: body.bytes.byteLength, sha256, rest: nothing } as const;
  return { ...recorded, inspected: { ...inspected, body: spooled } };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Throws what the requester reads when somebody, or the time, has decided against it. */
export function requireOpen({ approval, state, events }: HoldNews): void {
  const last = events.findLast(({ step }) => step === "deny" || step === "void");
  const said = last?.text === undefined ? "" : `: ${last.text}`;
  switch (state) {
    case "pending":
    case "approved":
      return;
    case "denied":
      throw new Refusal("denied", `denied by ${nameOf(last?.by)}${said} (${approval})`, { approval });
    case "expired":
      throw new Refusal("denied", `nobody approved it in time (${approval})`, { approval });
    case "void":
      throw new Refusal("approval_over", `${approval} is void${said}`, { approval });
    case "released":
      throw new Refusal("approval_over", `${approval} was used by another request`, { approval });
  }
}

/** What time has changed is looked at once more, as an exchange of its own; then it is released, which is once. */
export async function released(held: Held, means: Means): Promise<Cleared> {
  const { inspected, session, x, news, adapter, connection, principal } = held;
  // What policy denies by now, nobody can have approved.
  const { decision } = await decide(held, means);
  if (decision.verdict === "deny") throw new Refusal("denied", decision.reason, { parts: decision.denied });
  const again = adapter.again?.(inspected, held.connection);
  if (again) {
    const changed = again.changed(await ask({ ...held, inspected: again.look }, means));
    if (changed !== undefined) throw new Refusal("denied", changed, { approval: news.approval });
  }
  const { body } = inspected;
  const commits = inspected.frames.flatMap((frame) =>
    frame.k === "git" ? (frame.commits ?? []).map(({ id }) => id) : [],
  );
  const { clearance } = granted(
    await means.hold.release(session, x, news.approval, {
      ...(body.kind === "spooled" && { body: { length: body.length, sha256: body.sha256 } }),
      commits,
      ...(inspected.accepts && { accepts: { ...inspected.accepts, connection: connection.name, principal } }),
    }),
  );
  const rests = news.events.some(({ step }) => step === "standing") ? { rests: news } : {};
  return clear({ ...held, clearance, ...rests });
}

export const nameOf = (by: HoldNews["events"][number]["by"]): string => by?.name ?? by?.subject ?? "nobody";

/** Nobody has decided: what to do until somebody has. */
export function later({ news: { approval } }: Held, { settings }: Means): Refusal {
  const link = settings.approvalsUrl === undefined ? {} : { link: `${settings.approvalsUrl}${approval}` };
  const where = link.link === undefined ? "" : ` at ${link.link}`;
  return new Refusal(
    "approval_pending",
    `pending approval ${approval}${where}: send the same again when it is approved`,
    { approval, ...link },
  );
}

export function whoOf(decision: Decision): string {
  const hold = decision.verdict === "hold" ? decision.hold : [];
  return hold.map(({ group, count }) => (count === 1 ? group : `${count} of ${group}`)).join(" and ");
}
