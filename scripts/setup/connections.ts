/** What there is to connect to: said by the gateway to whoever has a token, or read from its steno.toml. */
import * as v from "valibot";
import { ConnectionKind } from "#durable/format/connection.ts";
import { ConnectionName } from "#durable/format/ids.ts";
import { ask, type Target } from "#scripts/cli/client.ts";
import type { Settings } from "#scripts/config/settings.ts";

/** `upstream`, of git: what its remotes are called without the gateway, with no trailing slash. */
const Reachable = v.object({
  name: ConnectionName,
  kind: ConnectionKind,
  upstream: v.optional(v.pipe(v.string(), v.regex(/^(?:https?|git):\/\/[\x21-\x7e]+$/, "is no address"))),
});
export type Reachable = v.InferOutput<typeof Reachable>;

const List = v.object({ connections: v.array(Reachable) });

export async function connectionsAt(gateway: Target): Promise<readonly Reachable[]> {
  const parsed = v.safeParse(List, await ask(gateway, "GET", "/v1/connections"));
  if (parsed.success) return parsed.output.connections;
  const [issue] = parsed.issues;
  throw new Error(`the gateway's answer is not understood: ${v.getDotPath(issue) ?? "it"} ${issue.message}`);
}

export const connectionsIn = ({ connections }: Settings): readonly Reachable[] =>
  connections.map(({ name, kind, upstream }) => ({
    name,
    kind,
    ...(kind === "git" && upstream && { upstream: upstream.base }),
  }));
