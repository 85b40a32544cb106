/** Server-sent events as they come, each with its bytes, so that one can be changed and the others stay as they are. */

import { encode } from "#workers/mask/stream/out.ts";

const LF = 10;
const CR = 13;
const COLON = 0x3a;

export type Event = {
  readonly bytes: Uint8Array;
  /** What it says; undefined for what has no data: comments, and what only sets fields. */
  readonly data: string | undefined;
  /** Whether its bytes are UTF-8. Readers differ in what they make of others. */
  readonly text: boolean;
};

/** Cuts a stream into events: each ends with its blank line, the last one where the stream ends. */
export class Events {
  readonly #limit: number;
  #held: Uint8Array[] = [];
  #size = 0;
  /** The current line has no bytes so far. */
  #blank = true;
  /** The current line is a comment, and nothing but comments came before it. */
  #comment = true;
  /** A line that ended in CR may go on with LF. */
  #return = false;
  #first = true;

  /** `limit`: bytes of one event. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether what comes now is longer than an event may be: nothing of it is to follow. */
  get long(): boolean {
    return this.#size > this.#limit;
  }

  /** What is whole by now, in order. */
  push(bytes: Uint8Array): readonly Event[] {
    const events: Event[] = [];
    let from = 0;
    for (let at = 0; at < bytes.byteLength; at++) {
      const byte = bytes[at];
      if (this.#return && byte === LF) {
        this.#return = false;
        continue;
      }
      this.#return = byte === CR;
      if (byte !== LF && byte !== CR) {
        if (this.#blank && byte !== COLON) this.#comment = false;
        this.#blank = false;
        continue;
      }
      // Comments say nothing, and who waits is to see that somebody is there.
      const over = this.#blank || this.#comment;
      this.#blank = true;
      if (!over) continue;
      const end = byte === CR && bytes[at + 1] === LF ? at + 2 : at + 1;
      events.push(this.#cut(bytes.subarray(from, end)));
      from = end;
      this.#return = byte === CR && end === at + 1;
      at = end - 1;
    }
    this.#keep(bytes.subarray(from));
    return events;
  }

  /** What came after the last blank line: some readers take that for an event too. */
  end(): Event | undefined {
    return this.#size === 0 ? undefined : this.#cut(new Uint8Array(0));
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    // Its owner may write over it.
    this.#held.push(bytes.slice());
    this.#size += bytes.byteLength;
  }

  #cut(last: Uint8Array): Event {
    this.#keep(last);
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#held) {
      bytes.set(part, at);
      at += part.byteLength;
    }
    [this.#held, this.#size, this.#comment] = [[], 0, true];
    const event = eventOf(bytes, this.#first);
    this.#first = false;
    return event;
  }
}

function eventOf(bytes: Uint8Array, first: boolean): Event {
  const { text, sound } = decoded(bytes);
  const lines = (first ? text.replace(/^\ufeff/, "") : text).split(/\r\n|\n|\r/);
  const said = lines.filter((line) => line === "data" || line.startsWith("data:"));
  const data = said.length === 0 ? undefined : said.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
  return { bytes, data, text: sound };
}

/** The event with other data: its other lines stay as they are. */
export function withData({ bytes }: Event, data: string): Uint8Array<ArrayBuffer> {
  const { text } = decoded(bytes);
  let written = false;
  const lines = text.split(/(?<=\n|\r(?!\n))/).flatMap((line) => {
    const [content = ""] = /^[^\r\n]*/.exec(line) ?? [];
    const name = content.replace(/^\ufeff/, "");
    if (name !== "data" && !name.startsWith("data:")) return [line];
    if (written) return [];
    written = true;
    const mark = content.startsWith("\ufeff") ? "\ufeff" : "";
    const end = line.slice(content.length);
    const more = data.split(/\r\n|\n|\r/).map((one) => `data: ${one}`);
    return [mark + more.join(end === "" ? "\n" : end) + end];
  });
  return new Uint8Array(encode(lines.join("")));
}

function decoded(bytes: Uint8Array): { readonly text: string; readonly sound: boolean } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), sound: true };
  } catch {
    // Whoever reads it anyway reads it like this.
    return { text: new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes), sound: false };
  }
}
