/** A configured upstream of one kind, as everything but the egress isolate sees it: without its credential. */
import * as v from "valibot";
import { ConnectionName } from "./ids.ts";

export const ConnectionKind = v.picklist(["git"]);
export type ConnectionKind = v.InferOutput<typeof ConnectionKind>;

/** What is kept of bodies. The operation itself is always recorded. */
export const Bodies = v.picklist(["full", "digest"]);
export type Bodies = v.InferOutput<typeof Bodies>;

export const Connection = v.object({
  name: ConnectionName,
  kind: ConnectionKind,
  bodies: Bodies,
});
export type Connection = v.InferOutput<typeof Connection>;
