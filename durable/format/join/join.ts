/** Holds what hooks claimed against what passed, as frames come. Kept with the session's counts, so its size is bounded. */
import type { Frame, JoinFrame, SessionStart } from "../frame.ts";
import type { ExchangeId } from "../ids.ts";
import type { Claim, Claimable } from "./claim.ts";

/** A claim that was allowed, and not yet seen. */
type Standing = {
  readonly of: Claimable;
  readonly input?: string;
  /** The hook's exchange. */
  readonly x: ExchangeId;
  /** An agent may tell of one call by several events. */
  events: readonly string[];
  /** A push that has begun, by asking the server what it has: git may find then that nothing is to be sent. */
  met?: true;
};

export type Join = {
  readonly conversation: boolean;
  hooks: number;
  matched: number;
  unclaimed: number;
  /** Claims that were told as never seen: those that were given up to make room, and at the end all that stand. */
  unseen: number;
  /** Hooks that are not answered yet: only what was allowed is a claim. */
  asked: Record<string, { readonly claim: Claim; readonly event: string }>;
  claims: Standing[];
};

/** Claims that may stand at once; the oldest is given up for another. */
const CLAIMS_MAX = 64;
/** Pushes of one command line that are told apart. */
const PUSHES_MAX = 16;

export const beginJoin = ({ conversation }: SessionStart): Join => ({
  conversation: conversation !== undefined,
  hooks: 0,
  matched: 0,
  unclaimed: 0,
  unseen: 0,
  asked: {},
  claims: [],
});

/** Takes the next frame in, and returns the frames that follow it: matches, what nobody claimed, claims that are given up. */
export function joinFrame(join: Join, frame: Frame): readonly JoinFrame[] {
  switch (frame.k) {
    case "hook":
      join.hooks += 1;
      if (frame.claims) join.asked[frame.x] = { claim: frame.claims, event: frame.event };
      return [];
    case "response":
      return answered(join, frame.x, frame.refusal === undefined);
    case "data":
      return frame.dir === "s2c" && "end" in frame ? answered(join, frame.x, false) : [];
    case "mcp":
      return frame.dir === "c2s" && frame.input !== undefined
        ? seen(join, frame.x, "mcp.tools/call", frame.input)
        : [];
    case "request": {
      const { operation } = frame;
      if (operation.kind === "git.push") return seen(join, frame.x, "git.push");
      if (operation.kind === "git.refs" && operation.service === "git-receive-pack") meet(join);
      return [];
    }
    case "session.start":
    case "decision":
    case "git":
    case "llm":
    case "mask":
    case "catalogue":
    case "definition":
    case "hold":
    case "approval":
    case "gap":
    case "join":
    case "session.end":
    case "session.truncated":
      return [];
  }
}

/** The frames that come before the last one: claims that nothing was seen of. */
export function endJoin(join: Join): readonly JoinFrame[] {
  const rest = join.claims.filter(({ met }) => !met);
  join.claims = [];
  return rest.map((claim) => unseen(join, claim));
}

function answered(join: Join, x: ExchangeId, allowed: boolean): readonly JoinFrame[] {
  const asked = join.asked[x];
  if (!asked) return [];
  delete join.asked[x];
  return allowed ? stand(join, x, asked.claim, asked.event) : [];
}

function stand(join: Join, x: ExchangeId, claim: Claim, event: string): readonly JoinFrame[] {
  const { of } = claim;
  const input = claim.of === "mcp.tools/call" ? claim.input : undefined;
  const count = claim.of === "git.push" ? Math.min(claim.count, PUSHES_MAX) : 1;
  for (let i = 0; i < count; i++) {
    const same = join.claims.find(
      (one) => one.of === of && one.input === input && !one.met && !one.events.includes(event),
    );
    if (same) same.events = [...same.events, event];
    else join.claims.push({ of, ...(input !== undefined && { input }), x, events: [event] });
  }
  const over = join.claims.splice(0, Math.max(0, join.claims.length - CLAIMS_MAX));
  return over.filter(({ met }) => !met).map((one) => unseen(join, one));
}

function meet(join: Join): void {
  const next = join.claims.find(({ of, met }) => of === "git.push" && !met);
  if (next) next.met = true;
}

function seen(join: Join, x: ExchangeId, of: Claimable, input?: string): readonly JoinFrame[] {
  const fits = join.claims.filter((one) => one.of === of && one.input === input);
  const claim = fits.find(({ met }) => met) ?? fits[0];
  if (claim) {
    join.claims.splice(join.claims.indexOf(claim), 1);
    join.matched += 1;
    return [{ k: "join", x, of, found: "match", claim: claim.x }];
  }
  join.unclaimed += 1;
  // Where no agent is known, and no hook has spoken, there is nothing that should have been claimed.
  return join.hooks > 0 || join.conversation ? [{ k: "join", x, of, found: "unclaimed" }] : [];
}

function unseen(join: Join, { x, of }: Standing): JoinFrame {
  join.unseen += 1;
  return { k: "join", x, of, found: "unseen" };
}
