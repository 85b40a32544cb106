/** Branded ids, and the only functions that mint or parse them. Time and randomness are arguments. */
import * as v from "valibot";

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export const SessionId = v.pipe(v.string(), v.regex(/^ses_[0-9A-HJKMNP-TV-Z]{26}$/), v.brand("SessionId"));
export type SessionId = v.InferOutput<typeof SessionId>;

export const ExchangeId = v.pipe(v.string(), v.regex(/^exc_[0-9A-HJKMNP-TV-Z]{26}$/), v.brand("ExchangeId"));
export type ExchangeId = v.InferOutput<typeof ExchangeId>;

/** A hold and what became of it. */
export const ApprovalId = v.pipe(
  v.string(),
  v.regex(/^apr_[0-9A-HJKMNP-TV-Z]{26}$/, "an approval's id is apr_ and 26 letters"),
  v.brand("ApprovalId"),
);
export type ApprovalId = v.InferOutput<typeof ApprovalId>;

/** A standing approval. */
export const StandingId = v.pipe(
  v.string(),
  v.regex(/^sta_[0-9A-HJKMNP-TV-Z]{26}$/, "a standing approval's id is sta_ and 26 letters"),
  v.brand("StandingId"),
);
export type StandingId = v.InferOutput<typeof StandingId>;

/** A connection's name: what stands in URLs, policies and frames. */
export const ConnectionName = v.pipe(
  v.string(),
  v.regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    "a connection name is 1 to 63 of a-z 0-9 -, starting with a letter or digit",
  ),
  v.brand("ConnectionName"),
);
export type ConnectionName = v.InferOutput<typeof ConnectionName>;

/** `random` holds at least 10 bytes; `at` is milliseconds since 1970. ULID: 48 bits of time, 80 of chance. */
export function ulid(at: number, random: Uint8Array): string {
  let text = "";
  for (let i = 9, time = at; i >= 0; i--, time = Math.floor(time / 32)) text = CROCKFORD[time % 32] + text;
  let bits = 0;
  let held = 0;
  for (const byte of random.subarray(0, 10)) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += CROCKFORD[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text;
}

export const mintSessionId = (at: number, random: Uint8Array): SessionId =>
  `ses_${ulid(at, random)}` as SessionId;

export const mintExchangeId = (at: number, random: Uint8Array): ExchangeId =>
  `exc_${ulid(at, random)}` as ExchangeId;

export const mintApprovalId = (at: number, random: Uint8Array): ApprovalId =>
  `apr_${ulid(at, random)}` as ApprovalId;

export const mintStandingId = (at: number, random: Uint8Array): StandingId =>
  `sta_${ulid(at, random)}` as StandingId;

/** The UTC day a session was opened, `yyyy-mm-dd`, read from its ULID: sessions are filed by it. */
export function dayOf(session: SessionId): string {
  let at = 0;
  for (const letter of session.slice(4, 14)) at = at * 32 + CROCKFORD.indexOf(letter);
  return new Date(at).toISOString().slice(0, 10);
}
