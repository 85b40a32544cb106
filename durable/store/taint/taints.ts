/** What has happened in a session, as later decisions may ask of it. Names are only ever added. */
import type { Frame } from "#durable/format/frame.ts";
import type { No } from "#durable/format/tape.ts";

/** More than any policy names; what comes after them is dropped, and one name says so. */
const TAINTS_MAX = 200;
export const TAINTS_FULL = "and-more";
/** An agent's hook has spoken. */
const HOOKED = "seen:hooks";

type Held = { taints?: readonly string[] };

export const taintsOf = ({ taints }: Held): readonly string[] => taints ?? [];

/** The no to a decision that knew other than what is known of the session now; undefined when it knew just that. */
export function staleness(held: Held, known: readonly string[]): { readonly no: No } | undefined {
  const taints = taintsOf(held);
  if (taints.join(" ") === known.join(" ")) return undefined;
  return { no: { code: "stale", message: "the session changed while this was decided: try again", taints } };
}

/**
 * What a frame says of the session from now on: an exchange that is let through, the policies' `@taint` and which
 * connection it uses (`used:<connection>`); a mask, that its kind of thing was there (`found:<detector>`); a hook, that there are some (`seen:hooks`).
 */
export function taint(held: Held, frame: Frame, connectionOf: (x: string) => string | undefined): void {
  if (frame.k === "hook") add(held, [HOOKED]);
  if (frame.k === "mask") add(held, [`found:${frame.detector}`]);
  if (frame.k !== "decision" || frame.verdict !== "allow") return;
  const connection = connectionOf(frame.x);
  add(held, [...(frame.taint ?? []), ...(connection ? [`used:${connection}`] : [])]);
}

function add(held: Held, names: readonly string[]): void {
  const known = taintsOf(held);
  const fresh = [...new Set(names)].filter((name) => !known.includes(name));
  if (fresh.length === 0 || known.includes(TAINTS_FULL)) return;
  const all = [...known, ...fresh];
  held.taints = (all.length <= TAINTS_MAX ? all : [...all.slice(0, TAINTS_MAX), TAINTS_FULL]).toSorted();
}
