/** What an approval is bound to (ARCHITECTURE §8): who asks for what, with which content. Another byte is another digest. */
import { createHash } from "node:crypto";
import type { Header } from "#durable/format/frame.ts";
import { principalKey } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Body } from "#workers/wire/body.ts";
import type { Recorded } from "../exchange.ts";

/** Fields that differ between two sendings of the same: what clients count, trace and negotiate by. */
const PASSING =
  /^(?:user-agent|accept-encoding|date|traceparent|tracestate|baggage|idempotency-key|x-request-id|x-client-request-id|x-stainless-.*)$/;

/** SHA-256, hex. The ids of a push fix its content, while packs of the same content differ; all else is bound by its bytes. */
export function bindingOf({ principal, connection, inspected }: Recorded): string {
  const { operation, outgoing, body } = inspected;
  const content =
    inspected.content ??
    (operation.kind === "git.push"
      ? {
          repository: operation.repository,
          updates: operation.updates.map(({ ref, old, new: next }) => [ref, old, next]),
          options: operation.options,
          atomic: operation.atomic,
        }
      : {
          method: outgoing.method,
          path: outgoing.path,
          headers: outgoing.headers.filter(([name]) => !PASSING.test(name)).toSorted(byName),
          body: digestOf(body),
        });
  const bound = [
    "steno approval v1",
    principalKey(principal),
    connection.kind,
    connection.name,
    operation.kind,
  ];
  return createHash("sha256")
    .update(JSON.stringify([...bound, content]))
    .digest("hex");
}

const byName = ([a]: Header, [b]: Header): number => (a < b ? -1 : Number(a > b));

function digestOf(body: Body): string | null {
  switch (body.kind) {
    case "none":
      return null;
    case "spooled":
      return body.sha256;
    case "whole":
      return createHash("sha256").update(body.bytes).digest("hex");
    case "stream":
      throw new Refusal(
        "too_large",
        "this needs approval, and nobody approves a body that is not known whole",
      );
  }
}
