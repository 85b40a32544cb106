/** What is asked for, as whoever decides is shown it. */

import type { HoldTape } from "#durable/format/approval/approval.ts";
import type { Decision } from "#durable/format/decision.ts";
import type { Content } from "#durable/format/frame.ts";
import type { Operation } from "#durable/format/operation.ts";
import type { Recorded } from "../exchange.ts";
import { bindingOf } from "./binding.ts";

/** Letters of frames that are shown. The session has all of them. */
const SHOWN_MAX = 256 * 1024;
const WORDS_MAX = 1_000;
/** `git push -o reason=…`, as the option reads. */
const OPTION = "reason=";

export function holdTape(
  recorded: Recorded,
  { hold, reason, policies }: Decision & { readonly verdict: "hold" },
): HoldTape {
  const { principal, opening, connection, inspected, x } = recorded;
  const content = [...inspected.frames.map((frame) => ({ ...frame, x }) as Content), ...recorded.hidden];
  let room = SHOWN_MAX;
  const shown = content.filter((frame) => {
    room -= JSON.stringify(frame).length;
    return room >= 0;
  });
  const justification = justificationOf(recorded);
  return {
    digest: bindingOf(recorded),
    principal,
    client: opening.client,
    connection: connection.name,
    operation: (inspected.abridged ?? inspected.operation) as Operation,
    policies,
    reason: reason.slice(0, 4_000),
    hold,
    ...(justification !== undefined && { justification }),
    ...(inspected.operation.kind === "git.fetch" && { rounds: true as const }),
    shown,
    ...(shown.length < content.length && { omitted: content.length - shown.length }),
  };
}

/** Why the requester wants it, where their protocol lets them say so. */
function justificationOf({ inspected, incoming }: Recorded): string | undefined {
  const { operation } = inspected;
  const options = operation.kind === "git.push" ? operation.options : [];
  const option = options.find((one) => one.startsWith(OPTION))?.slice(OPTION.length);
  const said = (option ?? incoming.request.headers.get("steno-reason") ?? "")
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, WORDS_MAX);
  return said === "" ? undefined : said;
}
