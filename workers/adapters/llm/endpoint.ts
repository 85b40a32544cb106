/** Which model API a request speaks, and what it wants of it, from its method and path. */
import { Refusal } from "#durable/format/refusal.ts";
import { anthropic } from "./api/anthropic.ts";
import type { Api } from "./api/api.ts";
import { gemini } from "./api/gemini.ts";
import { openaiChat } from "./api/openai-chat.ts";
import { openaiResponses } from "./api/openai-responses.ts";

export type Endpoint =
  | {
      readonly step: "chat" | "count";
      readonly api: Api;
      /** Where the path names it. */
      readonly model?: string;
      /** Where the path says it. */
      readonly stream?: boolean;
    }
  | { readonly step: "models"; readonly api: Api; readonly model?: string };

/** Clients differ in whether their base URL ends in `/v1`. */
const OPENAI = /^(?:\/v\d+)?\/(chat\/completions|responses|models(?:\/([^/]+))?)$/;
const ANTHROPIC = /^\/v1\/messages(\/count_tokens)?$/;
const GEMINI = /^\/v\d+(?:alpha|beta)?\/models(?:\/([^/:]+)(?::([A-Za-z]+))?)?$/;
const GENERATE: Readonly<Record<string, { step: "chat" | "count"; stream: boolean }>> = {
  generateContent: { step: "chat", stream: false },
  streamGenerateContent: { step: "chat", stream: true },
  countTokens: { step: "count", stream: false },
};

/** `path` as sent, without its query; `headers` tell whose list of models is asked for. Throws `Refusal("unknown_path")`. */
export function endpointOf(method: string, path: string, headers: Headers): Endpoint {
  const found = method === "POST" ? posted(path) : method === "GET" ? listed(path, headers) : undefined;
  if (found) return found;
  throw new Refusal(
    "unknown_path",
    "this connection takes Anthropic's Messages, OpenAI's Chat Completions and Responses, and Gemini's generateContent; another path of the provider needs a connection of kind http",
  );
}

function posted(path: string): Endpoint | undefined {
  const messages = ANTHROPIC.exec(path);
  if (messages) return { step: messages[1] === undefined ? "chat" : "count", api: anthropic };
  const generate = GEMINI.exec(path);
  const [, model, verb = ""] = generate ?? [];
  const wanted = Object.hasOwn(GENERATE, verb) ? GENERATE[verb] : undefined;
  if (model !== undefined && wanted) return { ...wanted, api: gemini, model: decodeURIComponent(model) };
  const openai = OPENAI.exec(path)?.[1];
  if (openai === "chat/completions") return { step: "chat", api: openaiChat };
  if (openai === "responses") return { step: "chat", api: openaiResponses };
  return undefined;
}

function listed(path: string, headers: Headers): Endpoint | undefined {
  const one = GEMINI.exec(path) ?? OPENAI.exec(path);
  if (!one || one.at(-1) === "completions" || !path.includes("/models")) return undefined;
  const name = /\/models\/([^/:]+)$/.exec(path)?.[1];
  const model = name === undefined ? {} : { model: decodeURIComponent(name) };
  if (/^\/v\d+(?:alpha|beta)\//.test(path)) return { step: "models", api: gemini, ...model };
  return { step: "models", api: headers.has("anthropic-version") ? anthropic : openaiChat, ...model };
}
