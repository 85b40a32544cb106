/** Hides what the detectors find: upstream gets the masked request, and the record holds what passed. */
import type { Header, MaskFrame } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import type { Mask } from "#durable/format/mask/finding.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Inspected } from "#workers/adapters/adapter.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import type { Masker } from "#workers/mask/stream/masker.ts";
import { concat } from "#workers/mask/stream/out.ts";
import type { Body } from "#workers/wire/body.ts";
import { isUpgrade } from "#workers/wire/socket/message.ts";
import type { Decided, Masked, Means } from "../exchange.ts";

/**
 * Request fields that would have the answer come in a form that cannot be read, or in parts that each hold half of what is
 * looked for; and those that hold digests of what is changed here (RFC 9530, RFC 1864).
 */
const ASKING: ReadonlySet<string> = new Set(["accept-encoding", "range", "if-range"]);
export const DIGESTS: ReadonlySet<string> = new Set([
  "content-md5",
  "digest",
  "content-digest",
  "repr-digest",
]);

export function mask(decided: Decided, means: Means): Masked {
  const { inspected, connection, decision, x } = decided;
  const { reading = "none" } = inspected;
  if (reading === "none") return { ...decided, rules: undefined, hidden: [], masker: undefined };
  const rules = rulesFor([...(connection.mask ?? []), ...(decision.mask ?? [])], means);
  if (!rules) return { ...decided, rules, hidden: [], masker: undefined };
  const { outgoing, body } = inspected;
  const headers = outgoing.headers.filter(([name]) => !ASKING.has(name));
  if (isUpgrade(new Headers(outgoing.headers as [string, string][])))
    throw new Refusal("denied", "what is masked here cannot be masked in a WebSocket");
  const asked: readonly Header[] = [...headers, ["accept-encoding", "identity"]];
  if (body.kind === "none") {
    const own = { ...inspected, outgoing: { ...outgoing, headers: asked } };
    return { ...decided, inspected: own, rules, hidden: [], masker: undefined };
  }
  requireReadable(outgoing.headers);
  const masker = maskerFor(reading, rules);
  const masked = decided.clean === rules ? body : known(body, masker);
  const found = masker.masks();
  const own: Inspected = {
    ...inspected,
    outgoing: { ...outgoing, headers: asked.filter(([name]) => !DIGESTS.has(name)) },
    body: masked,
  };
  return {
    ...decided,
    inspected: own,
    rules,
    hidden: found.map((one) => frameOf(one, x, "c2s")),
    masker: masked.kind === "stream" ? masker : undefined,
  };
}

/** A configured name is known to exist; one in a policy may be misspelled, and then nothing passes. */
export function rulesFor(names: readonly string[], means: Means): Rules | undefined {
  try {
    return means.detectors.choose(names);
  } catch (cause) {
    throw misspelled(cause);
  }
}

const misspelled = (cause: unknown) =>
  new Refusal("policy_unavailable", "a policy names a detector that is not there", { cause });

export const frameOf = ({ sha256, ...mask }: Mask, x: ExchangeId, dir: "c2s" | "s2c"): MaskFrame => ({
  k: "mask",
  x,
  dir,
  ...mask,
  digest: sha256,
});

/** The part of a body that is known, masked. A stream goes on through the masker, and is no longer of a known length. */
export function known(body: Body, masker: Masker): Body {
  switch (body.kind) {
    case "none":
    case "spooled":
      return body;
    case "whole":
      return { kind: "whole", bytes: concat([masker.push(body.bytes), masker.end()]) };
    case "stream":
      return { ...body, prefix: masker.push(body.prefix), length: undefined };
  }
}

function requireReadable(headers: readonly Header[]): void {
  const coding = headers
    .find(([name]) => name === "content-encoding")?.[1]
    .trim()
    .toLowerCase();
  if (coding !== undefined && coding !== "identity")
    throw new Refusal("malformed", "what is masked here must be sent without a content encoding");
}
