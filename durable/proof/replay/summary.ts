/** One line each for what was asked and what was decided. Words come from the recording: whoever prints them escapes. */
import type { RefUpdate } from "#durable/format/operation.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Exchange } from "./replay.ts";

/** Members that readers do not check are read as text, whatever a bad recorder put there. */
export const asText = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);

export const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** `cursor for Alice Archer (alice; developers)`. */
export function describePrincipal({ name, subject, groups, agent }: Principal): string {
  const within = [asText(subject), asList(groups).map(asText).join(", ")].filter((part) => part !== "");
  const person = `${asText(name ?? subject)} (${within.join("; ")})`;
  return agent === undefined ? person : `${asText(agent)} for ${person}`;
}

/** What the operation is about: refs of a push, the repository of a fetch, or else the path. */
export function describeOperation({ request }: Exchange): { readonly kind: string; readonly about: string } {
  if (!request) return { kind: "unknown", about: "" };
  const operation = request.operation as Readonly<Record<string, unknown>>;
  const kind = asText(operation["kind"]);
  const updates = asList(operation["updates"]) as readonly RefUpdate[];
  const repository = asText(operation["repository"]);
  if (updates.length > 0)
    return { kind, about: [repository, updates.map(describeUpdate).join(", ")].filter(Boolean).join(" ") };
  const named = ["repository", "tool", "name", "uri", "model", "command", "path", "about"].find(
    (member) => typeof operation[member] === "string",
  );
  return { kind, about: named ? asText(operation[named]) : request.path };
}

export const describeUpdate = ({ ref, change }: RefUpdate): string =>
  change === undefined ? asText(ref) : `${asText(change)} ${asText(ref)}`;

/** Why frames of a segment cannot be shown: it is an age file, and nobody gave an identity; or it is missing or altered. */
export const isEncrypted = (object: string): boolean => object.endsWith(".age");

/** What became of an exchange. */
export type Outcome = "allowed" | "denied" | "refused" | "undecided";

export function outcomeOf({ decision, response }: Exchange): Outcome {
  if (decision?.verdict === "deny") return "denied";
  if (response?.refusal) return "refused";
  return decision?.verdict === "allow" ? "allowed" : "undecided";
}
