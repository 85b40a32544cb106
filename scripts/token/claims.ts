/** What a token says of itself. Nothing of it is verified here: the gateway does that. */
import * as v from "valibot";

const Claims = v.looseObject({
  iss: v.optional(v.string()),
  sub: v.optional(v.string()),
  aud: v.optional(v.union([v.string(), v.array(v.string())])),
  exp: v.optional(v.pipe(v.number(), v.safeInteger())),
});
export type Claims = v.InferOutput<typeof Claims>;

/** Undefined for a token that is no JWT, which says nothing. */
export function claimsOf(token: string): Claims | undefined {
  const [, payload] = token.split(".", 3);
  if (payload === undefined) return undefined;
  try {
    const parsed = v.safeParse(Claims, JSON.parse(Buffer.from(payload, "base64url").toString("utf8")));
    return parsed.success ? parsed.output : undefined;
  } catch {
    // Not JSON: a token of another kind, which only its issuer can read.
    return undefined;
  }
}
