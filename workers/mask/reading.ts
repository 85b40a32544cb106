/** How a body is read to look into it. */
import type { Rules } from "./pattern/scan.ts";
import { FormMasker } from "./stream/form.ts";
import { JsonMasker } from "./stream/json.ts";
import { type Masker, TextMasker } from "./stream/masker.ts";
import { SseMasker } from "./stream/sse.ts";

/** `none` is not looked into and never changed: a pack, whose bytes are hashed. What is of no kind known is `text`. */
export type Reading = "none" | "text" | "json" | "form" | "sse";

/** What a Content-Type says. A body without one, or of any other type, is searched as the bytes it is. */
export function readingOf(contentType: string | null): Exclude<Reading, "none"> {
  const type = (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (type === "text/event-stream") return "sse";
  if (type === "application/x-www-form-urlencoded") return "form";
  return /^application\/(?:json|x-ndjson|ndjson|jsonl|x-jsonlines)$|\+json$/.test(type) ? "json" : "text";
}

export function maskerFor(reading: Exclude<Reading, "none">, rules: Rules): Masker {
  switch (reading) {
    case "text":
      return new TextMasker(rules);
    case "json":
      return new JsonMasker(rules);
    case "form":
      return new FormMasker(rules);
    case "sse":
      return new SseMasker(rules);
  }
}
