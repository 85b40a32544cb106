/** The answer as the agent may see it: what its adapter makes of it, with what that can ask and do. */
import type { Content } from "#durable/format/frame.ts";
import { momentOf } from "#durable/format/question/question.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Showing } from "#workers/adapters/adapter.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import { concat } from "#workers/mask/stream/out.ts";
import { inTime, upstreamSilent } from "#workers/wire/in-time.ts";
import { granted } from "#workers/wire/problem.ts";
import type { Cleared, Means } from "../exchange.ts";

/** UTF-16 code units of frames that are handed over at once. */
const BATCH_MAX = 1024 * 1024;

export async function show(cleared: Cleared, response: Response, means: Means): Promise<Response> {
  const { adapter, inspected } = cleared;
  return adapter.show?.(inspected, response, showingOf(cleared, means)) ?? response;
}

function showingOf({ connection, principal, opening, rules, session, x }: Cleared, means: Means): Showing {
  return {
    connection,
    verdicts: async (questions) => {
      const { evaluator, taints, now } = means;
      const facts = { now: momentOf(now()), client: opening.client, taints: taints.of(opening) };
      return answered(questions, granted(await evaluator.verdicts(principal, questions, facts)));
    },
    known: async (tools) =>
      answered(tools, granted(await means.pins.known(connection.name, principal, tools))),
    learn: async (shown) =>
      answered(shown, granted(await means.pins.learn(connection.name, principal, shown))),
    opened: async (serverSession) =>
      void granted(await means.pins.opened(connection.name, principal, serverSession)),
    hide: (text, reading) => {
      if (!rules) return text;
      const masker = maskerFor(reading, rules);
      return new TextDecoder().decode(concat([masker.push(new TextEncoder().encode(text)), masker.end()]));
    },
    record: async (frames) => {
      for (const batch of batches(frames.map((frame) => ({ ...frame, x }) as Content)))
        granted(await means.append.contained(session, x, batch));
    },
    within: (read) => inTime(read, means.settings.stallSeconds, upstreamSilent),
  };
}

/** One answer for each question: what was not answered must not count as answered. */
function answered<T>(asked: readonly unknown[], answers: readonly T[]): readonly T[] {
  if (answers.length !== asked.length)
    throw new Refusal("fault", "something went wrong inside the gateway: an answer is missing");
  return answers;
}

function batches(frames: readonly Content[]): readonly (readonly Content[])[] {
  const all: Content[][] = [[]];
  let room = BATCH_MAX;
  for (const frame of frames) {
    room -= JSON.stringify(frame).length;
    if (room < 0) {
      all.push([]);
      room = BATCH_MAX;
    }
    all.at(-1)?.push(frame);
  }
  return all;
}
