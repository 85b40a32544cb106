/** What policy is asked about an HTTP request, in the terms of its schema. */
import type { Connection } from "#durable/format/connection.ts";
import type { HttpRequest } from "#durable/format/operation.ts";
import type { Question, Resource } from "#workers/contract/evaluator.ts";

/** `size` is the declared length of the body, where there is one. */
export function questionsOf(
  { method, path, query, upgrade }: HttpRequest,
  connection: Connection,
  headers: Headers,
): readonly Question[] {
  const { name, kind, host = name } = connection;
  const outer: Resource = { type: "Connection", id: name, attrs: { kind } };
  const resource: Resource = { type: "Host", id: `${name}/${host}`, attrs: { name: host }, within: outer };
  const type = headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  const size = Number(headers.get("content-length") ?? Number.NaN);
  const context = {
    method,
    path,
    parameters: query,
    ...(type && { type }),
    ...(upgrade && { upgrade }),
    ...(Number.isSafeInteger(size) && { size }),
  };
  return [{ part: "", action: "http.request", resource, context }];
}
