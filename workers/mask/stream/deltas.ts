/**
 * Where the events of a streamed answer carry pieces of one text: OpenAI's chat completions and responses, Anthropic's
 * messages, Gemini's. What is split between such pieces is one text all the same.
 */

export type Delta = {
  /** Where in the event: `choices/0/delta/content`. */
  readonly path: string;
  /** Which text it is a piece of. */
  readonly field: string;
  /** A tool's arguments come as pieces of JSON. */
  readonly as: "text" | "json";
};

export type Pieces = {
  readonly deltas: readonly Delta[];
  /** Fields that end with this event, by how their names begin; `` is all of them. */
  readonly ends: readonly string[];
};

type Part = Readonly<Record<string, unknown>>;

const NONE: Pieces = { deltas: [], ends: [] };
const isPart = (value: unknown): value is Part =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const parts = (value: unknown): [number, Part][] =>
  Array.isArray(value) ? [...value.entries()].filter((pair): pair is [number, Part] => isPart(pair[1])) : [];
const numberOf = (value: unknown, otherwise: number): number =>
  typeof value === "number" ? value : otherwise;

export function piecesOf(event: unknown): Pieces {
  if (!isPart(event)) return NONE;
  if (Array.isArray(event["choices"])) return chat(event);
  if (Array.isArray(event["candidates"])) return gemini(event);
  const { type } = event;
  if (typeof type !== "string") return NONE;
  return type.startsWith("content_block_") || type.startsWith("message_")
    ? anthropic(type, event)
    : responses(type, event);
}

/** https://platform.openai.com/docs/api-reference/chat/streaming, and completions, which have `text`. */
function chat(event: Part): Pieces {
  const deltas: Delta[] = [];
  const ends: string[] = [];
  for (const [at, choice] of parts(event["choices"])) {
    const field = `choice ${numberOf(choice["index"], at)} `;
    if (typeof choice["text"] === "string")
      deltas.push({ path: `choices/${at}/text`, field: `${field}text`, as: "text" });
    if (choice["finish_reason"]) ends.push(field);
    const { delta } = choice;
    if (!isPart(delta)) continue;
    const path = `choices/${at}/delta`;
    for (const [name, value] of Object.entries(delta))
      if (typeof value === "string" && name !== "role")
        deltas.push({ path: `${path}/${name}`, field: `${field}${name}`, as: "text" });
    for (const [n, call] of parts(delta["tool_calls"]))
      if (isPart(call["function"]))
        deltas.push({
          path: `${path}/tool_calls/${n}/function/arguments`,
          field: `${field}call ${numberOf(call["index"], n)}`,
          as: "json",
        });
    if (isPart(delta["function_call"]))
      deltas.push({ path: `${path}/function_call/arguments`, field: `${field}call`, as: "json" });
  }
  return { deltas, ends };
}

/** https://docs.anthropic.com/en/docs/build-with-claude/streaming */
function anthropic(type: string, event: Part): Pieces {
  if (type === "message_stop") return { deltas: [], ends: [""] };
  const field = `block ${numberOf(event["index"], 0)} `;
  if (type === "content_block_stop") return { deltas: [], ends: [field] };
  const { delta } = event;
  if (type !== "content_block_delta" || !isPart(delta)) return NONE;
  const names = { text: "text", thinking: "text", partial_json: "json" } as const;
  const deltas = Object.entries(names).flatMap(([name, as]) =>
    typeof delta[name] === "string" ? [{ path: `delta/${name}`, field: `${field}${name}`, as }] : [],
  );
  return { deltas, ends: [] };
}

/** https://platform.openai.com/docs/api-reference/responses-streaming */
function responses(type: string, event: Part): Pieces {
  if (/^response\.(?:completed|failed|incomplete)$|^error$/.test(type)) return { deltas: [], ends: [""] };
  const match = /^(.+)\.(delta|done)$/.exec(type);
  if (!match) return NONE;
  const [, base = "", what] = match;
  const places = ["item_id", "output_index", "content_index", "summary_index"].map((name) =>
    String(event[name] ?? ""),
  );
  const field = `${base} ${places.join(" ")} `;
  if (what === "done") return { deltas: [], ends: [field] };
  if (typeof event["delta"] !== "string") return NONE;
  return { deltas: [{ path: "delta", field, as: base.includes("arguments") ? "json" : "text" }], ends: [] };
}

/** https://ai.google.dev/api/generate-content, streamed: the parts of a candidate follow one another. */
function gemini(event: Part): Pieces {
  const deltas: Delta[] = [];
  const ends: string[] = [];
  for (const [at, candidate] of parts(event["candidates"])) {
    const field = `candidate ${numberOf(candidate["index"], at)} `;
    const { content } = candidate;
    for (const [n, part] of parts(isPart(content) ? content["parts"] : undefined))
      if (typeof part["text"] === "string")
        deltas.push({
          path: `candidates/${at}/content/parts/${n}/text`,
          field: `${field}${part["thought"] === true ? "thought" : "text"}`,
          as: "text",
        });
    if (candidate["finishReason"]) ends.push(field);
  }
  return { deltas, ends };
}
