/** What a policy's annotations say, parsed; whatever else they say is an error, so that a misspelled one is not silently nothing. */
import { type Approvers, SEVERITIES, type Severity } from "#durable/format/decision.ts";
import type { PolicyFinding } from "./source.ts";

export type Annotations = {
  readonly id?: string;
  /** What the person reads when this policy decides. */
  readonly reason?: string;
  readonly severity?: Severity;
  /** Of a forbid: who may lift it. */
  readonly hold?: readonly Approvers[];
  /** Detectors, by id; `*` is all of them. */
  readonly mask?: readonly string[];
  /** What the session has to its name once this policy has let something through. */
  readonly taint?: readonly string[];
};

type Wrong = Pick<PolicyFinding, "message" | "hint">;

const KNOWN = ["id", "reason", "severity", "hold", "mask", "taint"];
const ID = /^[A-Za-z0-9][A-Za-z0-9._/#-]{0,127}$/;
const DETECTOR = /^(?:\*|[a-z][a-z0-9_.-]{0,63})$/;
const TAINT = /^[a-z][a-z0-9-]{0,63}$/;
const APPROVERS = /^(?:([1-9]|1\d|20) )?([^\s,](?:[^,]{0,254}[^\s,])?)$/;

/** An annotation without a value (`@id`) is null. What is wrong goes to `say`; the rest is returned all the same. */
export function readAnnotations(
  notes: Readonly<Record<string, string | null>>,
  effect: "permit" | "forbid",
  say: (wrong: Wrong) => void,
): Annotations {
  for (const name of Object.keys(notes)) {
    if (KNOWN.includes(name)) continue;
    say({ message: `unknown annotation @${name}`, hint: `use ${KNOWN.map((one) => `@${one}`).join(", ")}` });
  }
  const id = read(notes, "id", (text) => {
    if (ID.test(text)) return text;
    const hint = "1 to 128 of letters, digits and . _ / # -, starting with a letter or digit";
    say({ message: `not a policy id: ${JSON.stringify(text)}`, hint });
    return undefined;
  });
  const severity = read(notes, "severity", (text) => {
    const known = SEVERITIES.find((one) => one === text);
    if (!known)
      say({ message: `not a severity: ${JSON.stringify(text)}`, hint: `one of ${SEVERITIES.join(", ")}` });
    return known;
  });
  const hold = read(notes, "hold", (text) => holdOf(text, effect, say));
  const mask = read(notes, "mask", (text) => maskOf(text, effect, hold !== undefined, say));
  const taint = read(notes, "taint", (text) => taintOf(text, effect, hold !== undefined, say));
  const reason = notes["reason"];
  return {
    ...(id !== undefined && { id }),
    ...(reason ? { reason } : {}),
    ...(severity && { severity }),
    ...(hold && { hold }),
    ...(mask && { mask }),
    ...(taint && { taint }),
  };
}

function read<T>(
  notes: Readonly<Record<string, string | null>>,
  name: string,
  parse: (text: string) => T | undefined,
): T | undefined {
  const text = notes[name];
  return text === undefined ? undefined : parse(text ?? "");
}

/** `@hold("leads")`, `@hold("leads, security")`: somebody of each; `@hold("2 leads")`: two of them. */
function holdOf(text: string, effect: "permit" | "forbid", say: (wrong: Wrong) => void) {
  if (effect === "permit") {
    // On a permit it would read as a hold and act as a plain allow.
    say({ message: "@hold on a permit", hint: "write a forbid with @hold: it is what becomes a hold" });
    return undefined;
  }
  const parts = text.split(",").map((part) => APPROVERS.exec(part.trim()));
  const all = parts.flatMap((part): Approvers[] =>
    part?.[2] === undefined ? [] : [{ group: part[2], count: Number(part[1] ?? 1) }],
  );
  const groups = new Set(all.map(({ group }) => group));
  if (all.length === parts.length && groups.size === all.length) return all;
  const hint = `@hold("leads"), @hold("leads, security") for somebody of each, @hold("2 leads") for two (at most 20)`;
  say({ message: `not groups to approve: ${JSON.stringify(text)}`, hint });
  return undefined;
}

function maskOf(text: string, effect: "permit" | "forbid", held: boolean, say: (wrong: Wrong) => void) {
  if (effect === "forbid" && !held) {
    // Nothing passes a forbid, so there is nothing to hide.
    say({ message: "@mask on a forbid", hint: "write a permit with @mask, or add @hold" });
    return undefined;
  }
  const detectors = text.split(",").map((part) => part.trim());
  if (detectors.every((one) => DETECTOR.test(one))) return detectors;
  say({
    message: `not detectors: ${JSON.stringify(text)}`,
    hint: `@mask("secrets, email"), or @mask("*") for all`,
  });
  return undefined;
}

function taintOf(text: string, effect: "permit" | "forbid", held: boolean, say: (wrong: Wrong) => void) {
  if (effect === "forbid" && !held) {
    say({
      message: "@taint on a forbid",
      hint: "write a permit with @taint: only what passes leaves a trace",
    });
    return undefined;
  }
  const names = text.split(",").map((part) => part.trim());
  if (names.every((one) => TAINT.test(one))) return names;
  say({
    message: `not names of taints: ${JSON.stringify(text)}`,
    hint: `@taint("secret-read"): a-z, 0-9 and -; names with a colon are the gateway's own`,
  });
  return undefined;
}
