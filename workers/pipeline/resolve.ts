/** The connection a URL names, as configured. Asked only after the caller is known, so that nobody can probe for names. */
import { Refusal } from "#durable/format/refusal.ts";
import type { Authenticated, Means, Resolved } from "./exchange.ts";

export function resolve(authenticated: Authenticated, means: Means): Resolved {
  const { name, kind } = authenticated.incoming.connection;
  const connection = means.settings.connections.find((known) => known.name === name && known.kind === kind);
  if (!connection) throw new Refusal("unknown_connection", `there is no ${kind} connection named "${name}"`);
  return { ...authenticated, connection, incoming: { ...authenticated.incoming, connection } };
}
