/** Who asks: a person, or an agent acting for one. */
import * as v from "valibot";

export const Principal = v.object({
  /** OIDC issuer, or `steno` for what the node itself records. */
  issuer: v.string(),
  /** The issuer's stable id of the principal. */
  subject: v.string(),
  /** For people to read; never used to decide. */
  name: v.optional(v.string()),
  groups: v.array(v.string()),
  /** Set when an agent acts for a person: the agent (RFC 8693 `act.sub`, or the client that asked). */
  agent: v.optional(v.string()),
});
export type Principal = v.InferOutput<typeof Principal>;

/** One principal is one key: the JSON of issuer, subject and agent cannot be forged by choosing names. */
export const principalKey = (principal: Principal): string =>
  JSON.stringify([principal.issuer, principal.subject, principal.agent ?? ""]);

/** Issuer of those whose name is kept nowhere any more. */
const PSEUDONYM = "urn:steno:pseudonym";

/** Somebody of whom only the pseudonym of heads is left: `pseudonym` is that keyed digest, hex. */
export const asPseudonym = (pseudonym: string): Principal => ({
  issuer: PSEUDONYM,
  subject: `hmac:${pseudonym}`,
  groups: [],
});

export const isPseudonym = ({ issuer }: Principal): boolean => issuer === PSEUDONYM;

/** The node itself: refusals that happen before anybody is known are recorded in its session. */
export const NODE: Principal = { issuer: "steno", subject: "node", name: "this node", groups: [] };
