/** A standing approval: for a while, what a Cedar text describes passes the holds that those who granted it may lift. */
import type { StandingId } from "../ids.ts";
import type { Principal } from "../principal.ts";

/** Somebody who decides; `groups` are those that count. */
export type Person = Pick<Principal, "issuer" | "subject" | "name" | "groups">;

export type Grant = { readonly by: Person; readonly at: string };

/** What is asked for when it is granted. */
export type StandingTerms = {
  /** Cedar: what it is for. It covers an operation when these policies allow every question of it. */
  readonly scope: string;
  readonly reason: string;
  /** As which groups whoever grants it speaks. */
  readonly groups: readonly string[];
  readonly seconds: number;
};

export type StandingRow = Pick<StandingTerms, "scope" | "reason"> & {
  readonly standing: StandingId;
  readonly state: "live" | "revoked" | "over";
  readonly from: string;
  readonly until: string;
  /** Whoever granted it first, then who joined. */
  readonly grants: readonly Grant[];
  readonly revoked?: Grant & { readonly text?: string };
};

/** What an approval says of the standing one it came by: good without whatever else is known of that. */
export type Resting = Pick<StandingRow, "standing" | "scope" | "until"> & { readonly by: readonly Person[] };
