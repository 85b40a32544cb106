/** The members of a frame that readers rely on. More may be there: the bytes are what was sealed. */

import * as v from "valibot";
import { APPROVAL_STEPS } from "#durable/format/approval/approval.ts";
import type { Frame } from "#durable/format/frame.ts";
import { SessionId } from "#durable/format/ids.ts";

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Text = v.string();
const Digest = v.pipe(Text, v.regex(/^[0-9a-f]{64}$/));
const Headers = v.array(v.tuple([Text, Text]));
const Updates = v.array(v.looseObject({ ref: Text, old: Text, new: Text }));
const Body = { x: Text, dir: v.picklist(["c2s", "s2c"]), off: Count };

const PERSON = v.looseObject({ issuer: Text, subject: Text, groups: v.array(Text) });

const Facts = v.looseObject({
  now: v.object({ day: Text, hour: v.number(), weekday: v.number() }),
  client: Text,
  taints: v.array(Text),
});
const Resource: v.GenericSchema = v.looseObject({
  type: Text,
  id: Text,
  attrs: v.record(Text, Text),
  within: v.optional(v.lazy(() => Resource)),
});
const Context = v.record(Text, v.union([Text, v.number(), v.boolean(), v.array(Text)]));
const Asked = v.union([
  v.looseObject({ omitted: Count }),
  v.looseObject({
    groups: v.array(Text),
    facts: Facts,
    common: v.optional(Context),
    within: v.optional(Resource),
    questions: v.array(v.looseObject({ part: Text, action: Text, resource: Resource, context: Context })),
  }),
]);

const SHAPES = {
  "session.start": v.looseObject({
    session: SessionId,
    principal: v.looseObject({ issuer: Text, subject: Text }),
    client: Text,
  }),
  request: v.looseObject({
    x: Text,
    connection: Text,
    operation: v.looseObject({ kind: Text, updates: v.optional(Updates) }),
    method: Text,
    path: Text,
    headers: Headers,
  }),
  response: v.looseObject({
    x: Text,
    status: Count,
    headers: Headers,
    refusal: v.optional(v.looseObject({ code: Text })),
  }),
  decision: v.looseObject({
    x: Text,
    verdict: v.picklist(["allow", "deny", "hold"]),
    policies: v.array(Text),
    set: Text,
    asked: v.optional(Asked),
  }),
  data: v.union([
    v.looseObject({ ...Body, d: Text }),
    v.looseObject({ ...Body, bytes: v.strictTuple([Count, Count, Count]), sha256: Digest }),
    v.looseObject({ ...Body, len: Count, sha256: Digest }),
    v.looseObject({ ...Body, end: v.picklist(["complete", "cut", "refused"]) }),
  ]),
  git: v.looseObject({
    x: Text,
    updates: v.optional(Updates),
    commits: v.optional(
      v.array(v.looseObject({ id: v.pipe(Text, v.regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/)) })),
    ),
  }),
  llm: v.looseObject({ x: Text, dir: v.picklist(["c2s", "s2c"]) }),
  mcp: v.looseObject({ x: Text, dir: v.picklist(["c2s", "s2c"]), input: v.optional(Text) }),
  catalogue: v.looseObject({
    x: Text,
    items: v.optional(v.array(v.looseObject({ at: Count, name: Text, digest: Digest }))),
  }),
  definition: v.looseObject({ x: Text, tool: Text, pinned: Digest, shown: Digest, patch: Text }),
  mask: v.looseObject({
    x: Text,
    dir: v.picklist(["c2s", "s2c"]),
    detector: Text,
    off: Count,
    len: Count,
    digest: Digest,
  }),
  hold: v.looseObject({
    x: Text,
    approval: Text,
    digest: Digest,
    hold: v.array(v.looseObject({ group: Text, count: Count })),
    expires: Text,
  }),
  approval: v.looseObject({
    x: Text,
    approval: Text,
    n: Count,
    step: v.picklist(APPROVAL_STEPS),
    at: Text,
    by: v.optional(PERSON),
    text: v.optional(Text),
    standing: v.optional(v.looseObject({ standing: Text, scope: Text, until: Text, by: v.array(PERSON) })),
  }),
  hook: v.looseObject({
    x: Text,
    event: Text,
    claims: v.optional(
      v.union([
        v.looseObject({ of: v.literal("mcp.tools/call"), input: Text }),
        v.looseObject({ of: v.literal("git.push"), count: Count }),
      ]),
    ),
  }),
  join: v.looseObject({
    x: Text,
    of: v.picklist(["mcp.tools/call", "git.push"]),
    found: v.picklist(["match", "unclaimed", "unseen"]),
    claim: v.optional(Text),
  }),
  gap: v.looseObject({ cause: Text, exchanges: v.array(Text), missing: Text }),
  "session.end": v.looseObject({ reason: Text }),
  "session.truncated": v.looseObject({ cause: Text, lastDurable: v.number(), exchanges: v.array(Text) }),
} as const satisfies Record<Frame["k"], v.GenericSchema>;

/** Kinds of EVIDENCE §1 whose members nothing here relies on. */
const OTHERS = new Set(["read"]);

export type Shaped = { readonly frame: Frame } | { readonly kind: string } | { readonly wrong: string };

/** The frame of a parsed line; its kind only, when it is one without a shape here; or what is wrong with it. */
export function shapeFrame(json: Readonly<Record<string, unknown>>): Shaped {
  const k = json["k"];
  if (typeof k !== "string") return { wrong: "the frame has no kind" };
  if (!Object.hasOwn(SHAPES, k)) return { kind: k };
  const parsed = v.safeParse(SHAPES[k as Frame["k"]], json);
  return parsed.success
    ? { frame: json as unknown as Frame }
    : { wrong: `not a ${k} frame: ${v.summarize(parsed.issues)}` };
}

export const isKnownKind = (kind: string): boolean => OTHERS.has(kind);
