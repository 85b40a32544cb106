/** Reads a model's answer as it passes: one JSON text, or server-sent events that each hold one. */
import { createParser, type EventSourceParser } from "eventsource-parser";
import type { Contained } from "#durable/format/frame.ts";
import { isObject, type Json } from "#workers/wire/json/strict.ts";
import type { Hearing } from "../adapter.ts";
import type { Api, Reading } from "./api/api.ts";

/** Longest answer, or event of a stream, that is read. What is longer passes, and the frame says `part`. */
const HEARD_MAX = 16 * 1024 * 1024;
/** Tool calls that stand in a frame. */
const CALLS_MAX = 200;
/** Letters of a name or an id that a frame has room for. */
const WORD_MAX = 64;

/** For answers without a content coding: egress asks for none. */
export function hearingOf(api: Api, headers: Headers): Hearing | undefined {
  if (headers.has("content-encoding")) return undefined;
  const type = headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === "text/event-stream") return new EventsHearing(api.reading());
  if (type === "application/json") return new JsonHearing(api.reading());
  return undefined;
}

class EventsHearing implements Hearing {
  readonly #reading: Reading;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  /** Bytes since the last event. */
  #waiting = 0;
  #lost = false;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#parser = createParser({
      onEvent: ({ data }) => {
        this.#waiting = 0;
        // OpenAI's last event is no JSON.
        if (data !== "[DONE]") this.#lost = !seen(reading, data) || this.#lost;
      },
    });
  }

  hear(bytes: Uint8Array): void {
    if (this.#waiting > HEARD_MAX) {
      this.#lost = true;
      return;
    }
    this.#waiting += bytes.byteLength;
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
  }

  contained(whole: boolean): readonly Contained[] {
    return [frameOf(this.#reading, whole && !this.#lost)];
  }
}

class JsonHearing implements Hearing {
  readonly #reading: Reading;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  hear(bytes: Uint8Array): void {
    this.#size += bytes.byteLength;
    // Kept beyond the call, and its owner may write over it.
    if (this.#size <= HEARD_MAX) this.#parts.push(bytes.slice());
    else this.#parts = [];
  }

  contained(whole: boolean): readonly Contained[] {
    if (!whole || this.#size > HEARD_MAX) return [frameOf(this.#reading, false)];
    const decoder = new TextDecoder();
    const text =
      this.#parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
    return [frameOf(this.#reading, seen(this.#reading, text))];
  }
}

/** Whether it was JSON. Gemini streams a list where nobody asked for events. */
function seen(reading: Reading, text: string): boolean {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch {
    // The answer is the agent's to make sense of; the frame says that it could not be read.
    return false;
  }
  for (const each of Array.isArray(json) ? (json as readonly Json[]) : [json])
    if (isObject(each)) reading.see(each);
  return true;
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
