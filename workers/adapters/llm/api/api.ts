/** What the adapter asks of one model API: how its requests and answers are read, and how a no is said in it. */
import type { LlmApi, LlmMessage } from "#durable/format/operation.ts";
import type { Refusal } from "#durable/format/refusal.ts";
import type { Json, JsonObject } from "#workers/wire/json/strict.ts";

/** What a request asks, decoded without trusting it. */
export type Asked = {
  readonly model: string;
  readonly stream: boolean;
  readonly messages: readonly LlmMessage[];
  /** Names of the tools the model may call. */
  readonly tools: readonly string[];
  /** The most tokens it may answer with. */
  readonly tokens?: number;
};

/** A tool the model wants called; `size` is that of its arguments, in bytes. */
export type Call = { readonly id: string; readonly name: string; readonly size: number };

/** What an answer said, as far as it was read. */
export type Said = {
  model?: string;
  stop?: string;
  error?: string;
  /** Tokens, as the provider counts them. */
  usage?: { input?: number; output?: number; cached?: number };
  readonly calls: Call[];
};

/** Reads one answer: the JSON of all of it, or of each of its events in turn. */
export interface Reading {
  see(json: JsonObject): void;
  said(): Said;
}

export interface Api {
  readonly name: LlmApi;
  readonly provider: string;
  /** `model` is the one the path names, where the API has it there. Throws `Refusal("malformed")`. */
  asked(body: JsonObject, model: string | undefined, stream: boolean): Asked;
  reading(): Reading;
  /** The body of an error, which the provider's own client shows. */
  error(refusal: Refusal): Json;
}

/** Bytes of text, or of JSON as it would be written. */
export const sizeOf = (value: Json | undefined): number =>
  value === undefined
    ? 0
    : new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value)).byteLength;
