/** A bug as whoever asked is told of it: an id, which leads to the log. */
import type { ExchangeId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";

export function fault(thrown: unknown, { x }: { readonly x: ExchangeId }): Refusal {
  const cause = thrown instanceof Error ? (thrown.stack ?? String(thrown)) : String(thrown);
  console.error(JSON.stringify({ level: "alert", code: "fault", exchange: x, cause }));
  return new Refusal("fault", `something went wrong inside the gateway; ask its operator for ${x}`, {
    cause: thrown,
  });
}
