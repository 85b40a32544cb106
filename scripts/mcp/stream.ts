/** Server-sent events of an answer, and how far they were read. */
import { EventSourceParserStream } from "eventsource-parser/stream";

/** From where the rest of a stream can be asked for; empty while it has said no place. */
export type Place = { last?: string; retryMs?: number };

export const mediaType = (response: Response): string =>
  (response.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";

/** Yields the text of each event, and moves `place` along. Throws when the stream breaks, or an event is longer than `max` letters. */
export async function* eventsOf(response: Response, place: Place, max: number): AsyncGenerator<string> {
  const parser = new EventSourceParserStream({
    maxBufferSize: max,
    onId: (id) => {
      place.last = id;
    },
    onRetry: (ms) => {
      place.retryMs = ms;
    },
  });
  for await (const { data } of response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(parser) ?? [])
    if (data !== "") yield data;
}
