/** A configured upstream of one kind, as everything but the egress isolate sees it: without its credential. Hooks have none. */
import * as v from "valibot";
import { ConnectionName } from "./ids.ts";

export const ConnectionKind = v.picklist(["git", "http", "llm", "mcp", "hooks"]);
export type ConnectionKind = v.InferOutput<typeof ConnectionKind>;

/** What is kept of bodies. The operation itself is always recorded. */
export const Bodies = v.picklist(["full", "digest"]);
export type Bodies = v.InferOutput<typeof Bodies>;

/**
 * How far a push is looked into: all of its pack, spooled before anything of it leaves; or its refs and the commits at the
 * beginning of its pack, while the rest streams.
 */
export const Inspect = v.picklist(["full", "refs"]);
export type Inspect = v.InferOutput<typeof Inspect>;

export const Connection = v.object({
  name: ConnectionName,
  kind: ConnectionKind,
  bodies: Bodies,
  /** Full when it is not said. Only git asks. */
  inspect: v.exactOptional(Inspect),
  /** Detectors whose findings are hidden here, besides those of all connections. */
  mask: v.optional(v.array(v.string())),
  /** What agents are told before the name of each of its tools. Only MCP has one. */
  prefix: v.exactOptional(v.string()),
  /** The upstream's host name, as policies speak of it. */
  host: v.optional(v.string()),
});
export type Connection = v.InferOutput<typeof Connection>;
