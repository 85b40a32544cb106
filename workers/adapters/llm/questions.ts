/** What policy is asked about a request to a model, in the terms of its schema. */
import type { Connection } from "#durable/format/connection.ts";
import type { LlmOperation } from "#durable/format/operation.ts";
import type { Question, Resource } from "#workers/contract/evaluator.ts";

/** `provider` is whose API it is; `size` that of the body, in bytes. */
export function questionsOf(
  operation: LlmOperation,
  { name, kind }: Connection,
  { provider, api, size }: { readonly provider: string; readonly api: string; readonly size: number },
): readonly Question[] {
  const outer: Resource = { type: "Connection", id: name, attrs: { kind } };
  if (operation.kind === "llm.models")
    return [{ part: "", action: "llm.models", resource: outer, context: { api } }];
  const { model, messages, tools, tokens } = operation;
  const resource: Resource = {
    type: "Model",
    id: `${name}/${model}`,
    attrs: { name: model, provider },
    within: outer,
  };
  const stream = operation.kind === "llm.chat" && operation.stream;
  const context = { api, messages, tools, stream, size, ...(tokens !== undefined && { tokens }) };
  return [{ part: "", action: operation.kind, resource, context }];
}
