/** Definitions of tools: their digests, what they say of themselves, and how two of them differ. */
import { createHash } from "node:crypto";
import { structuredPatch } from "diff";
import type { DefinitionFrame } from "#durable/format/catalogue/catalogue.ts";
import type { Definition, Known } from "#durable/format/catalogue/definition.ts";
import { hide } from "#workers/mask/hide.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { ordered } from "#workers/wire/json/ordered.ts";
import { isObject, type Json, type JsonObject } from "#workers/wire/json/strict.ts";

/** What an item of a list comes to: the same for two that mean the same. */
export function canonical(value: JsonObject): Pick<Definition, "digest" | "text"> {
  const text = JSON.stringify(ordered(value));
  return { text, digest: createHash("sha256").update(text).digest("hex") };
}

export type Hints = {
  readonly readOnly?: boolean;
  readonly destructive?: boolean;
  readonly openWorld?: boolean;
};

/** What a definition says of its tool (`annotations`). What it does not say is not known, whatever MCP would have it mean. */
export function hintsOf(definition: Json): Hints {
  const said = isObject(definition) ? definition["annotations"] : undefined;
  if (!isObject(said)) return {};
  const { readOnlyHint: readOnly, destructiveHint: destructive, openWorldHint: openWorld } = said;
  return {
    ...(typeof readOnly === "boolean" && { readOnly }),
    ...(typeof destructive === "boolean" && { destructive }),
    ...(typeof openWorld === "boolean" && { openWorld }),
  };
}

/** Letters of a patch that a frame has room for, as many as they may take there. */
const PATCH_MAX = 16_000;
const CONTEXT = 3;
const EDITS_MAX = 5_000;

/** What the agent was shown that is not the pin. */
export type Changed = Known & { readonly shown: Definition };

/** The frame that says how a definition changed; what `rules` find is hidden in it. */
export function definitionFrame(
  { pinned, shown, withdrawn }: Changed,
  rules: Rules | undefined,
): Omit<DefinitionFrame, "x"> {
  const [were, are] = [linesOf(pinned.text), linesOf(shown.text)];
  const [before, after] = rules ? [hide(were, rules), hide(are, rules)] : [were, are];
  const whole = patchOf(before, after);
  const patch = whole.slice(0, PATCH_MAX).replace(/[\ud800-\udbff]$/, "");
  return {
    k: "definition",
    tool: shown.tool,
    pinned: pinned.digest,
    shown: shown.digest,
    ...((before !== were || after !== are) && { hidden: true as const }),
    ...(withdrawn && { withdrawn }),
    patch,
    ...(patch.length < whole.length && { omitted: whole.length - patch.length }),
  };
}

function patchOf(before: string, after: string): string {
  if (before === after) return "what differs is hidden";
  const options = { context: CONTEXT, maxEditLength: EDITS_MAX };
  const patch = structuredPatch("", "", before, after, "", "", options);
  if (!patch) return [...marked("-", before), ...marked("+", after)].join("\n");
  return patch.hunks
    .flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
      `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
      ...lines.filter((line) => !line.startsWith("\\")),
    ])
    .join("\n");
}

const marked = (mark: string, text: string): readonly string[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => `${mark}${line}`);

/** One line for each value, by its path; of a text of several lines, one for each. */
function linesOf(text: string): string {
  const lines: string[] = [];
  const visit = (at: string, value: Json): void => {
    const inner = typeof value === "object" && value !== null ? Object.entries(value) : [];
    for (const [name, one] of inner) visit(at === "" ? name : `${at}.${name}`, one as Json);
    if (inner.length > 0) return;
    const said = typeof value === "string" ? value.split(/(?<=\n)/) : [value];
    for (const one of said.length > 0 ? said : [""]) lines.push(`${at}: ${visible(JSON.stringify(one))}`);
  };
  visit("", JSON.parse(text) as Json);
  return `${lines.join("\n")}\n`;
}

/** A model reads letters that nobody sees. */
const visible = (text: string): string =>
  text.replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (letter) => {
    return `\\u{${(letter.codePointAt(0) ?? 0).toString(16)}}`;
  });
