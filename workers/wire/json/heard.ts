/** Reads JSON that passes: one text, or server-sent events that each hold one. Changes nothing and never throws. */
import { createParser, type EventSourceParser } from "eventsource-parser";
import { isObject, type Json, type JsonObject } from "./strict.ts";

/** Longest text, or event of a stream, that is read. What is longer passes unread. */
const HEARD_MAX = 16 * 1024 * 1024;

export interface Heard {
  /** Every byte once, in order, in whatever pieces. */
  hear(bytes: Uint8Array): void;
  /** At the end: whether all of it was read. `whole` when it came to its end. */
  end(whole: boolean): boolean;
}

/** `see` gets each object, of a list each in turn. Undefined for what is not JSON, or has a content coding. */
export function heardFrom(headers: Headers, see: (json: JsonObject) => void): Heard | undefined {
  if (headers.has("content-encoding")) return undefined;
  const type = headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === "text/event-stream") return new Events(see);
  if (type === "application/json") return new Text(see);
  return undefined;
}

class Events implements Heard {
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  /** Bytes since the last event. */
  #waiting = 0;
  #lost = false;

  constructor(see: (json: JsonObject) => void) {
    this.#parser = createParser({
      onEvent: ({ data }) => {
        this.#waiting = 0;
        // OpenAI's last event is no JSON, and MCP's first may be empty.
        if (data !== "[DONE]" && data !== "") this.#lost = !seen(see, data) || this.#lost;
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

  end(whole: boolean): boolean {
    return whole && !this.#lost;
  }
}

class Text implements Heard {
  readonly #see: (json: JsonObject) => void;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(see: (json: JsonObject) => void) {
    this.#see = see;
  }

  hear(bytes: Uint8Array): void {
    this.#size += bytes.byteLength;
    // Kept beyond the call, and its owner may write over it.
    if (this.#size <= HEARD_MAX) this.#parts.push(bytes.slice());
    else this.#parts = [];
  }

  end(whole: boolean): boolean {
    if (!whole || this.#size > HEARD_MAX) return false;
    const decoder = new TextDecoder();
    const text =
      this.#parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
    return seen(this.#see, text);
  }
}

/** Whether it was JSON. */
function seen(see: (json: JsonObject) => void, text: string): boolean {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch {
    // What passes is its reader's to make sense of; here it counts as unread.
    return false;
  }
  for (const each of Array.isArray(json) ? (json as readonly Json[]) : [json]) if (isObject(each)) see(each);
  return true;
}
