/** Reads a model's answer as it passes, and says what it was. */
import type { Contained } from "#durable/format/frame.ts";
import { heardFrom } from "#workers/wire/json/heard.ts";
import type { Hearing } from "../adapter.ts";
import type { Api, Reading } from "./api/api.ts";

/** Tool calls that stand in a frame. */
const CALLS_MAX = 200;
/** Letters of a name or an id that a frame has room for. */
const WORD_MAX = 64;

/** For answers without a content coding: egress asks for none. */
export function hearingOf(api: Api, headers: Headers): Hearing | undefined {
  const reading = api.reading();
  const heard = heardFrom(headers, (json) => reading.see(json));
  return (
    heard && {
      hear: (bytes) => heard.hear(bytes),
      contained: (whole) => [frameOf(reading, heard.end(whole))],
    }
  );
}

function frameOf(reading: Reading, all: boolean): Contained {
  const { calls, model, stop, error, usage } = reading.said();
  const omitted = calls.length - CALLS_MAX;
  return {
    k: "llm",
    dir: "s2c",
    read: all ? "all" : "part",
    ...(model !== undefined && { model: short(model) }),
    ...(stop !== undefined && { stop: short(stop) }),
    ...(error !== undefined && { error: short(error) }),
    ...(usage && { usage }),
    calls: calls
      .slice(0, CALLS_MAX)
      .map(({ id, name, size }) => ({ id: short(id), name: short(name), size })),
    ...(omitted > 0 && { omitted }),
  };
}

const short = (word: string): string => word.slice(0, WORD_MAX);
