/** A directory of Cedar files as one set: every policy named, checked against the schema, parsed once. */
import type { Cedar, DetailedError } from "./cedar.ts";
import { SCHEMA, SCHEMA_NAME } from "./schema.ts";
import {
  byName,
  DEPTH_MAX,
  lineAtByte,
  OPERATORS_MAX,
  type PolicyFile,
  type PolicyFinding,
  type Statement,
  statements,
} from "./source.ts";

export type Policy = {
  readonly id: string;
  readonly effect: "permit" | "forbid";
  readonly file: string;
  readonly line: number;
  /** What the person reads when this policy decides. */
  readonly reason?: string;
  readonly severity?: string;
};

export type PolicySet = {
  /** SHA-256 over names and bytes of its files; Cedar holds the parsed set under this name. */
  readonly digest: string;
  readonly policies: ReadonlyMap<string, Policy>;
  /** Nothing that stops it from loading: policies without an id of their own, or that can never apply. */
  readonly warnings: readonly PolicyFinding[];
};

export type Opened = { readonly set: PolicySet } | { readonly errors: readonly PolicyFinding[] };

/** A policy that parses by itself, and its text. */
type Parsed = { readonly policy: Policy; readonly text: string };

const ANNOTATIONS = ["id", "reason", "severity", "hold", "mask"];
const ID = /^[A-Za-z0-9][A-Za-z0-9._/#-]{0,127}$/;

/**
 * Parses and validates files into one set, which Cedar then holds until `closePolicySet`. `digest` is theirs. All or
 * nothing: any error leaves what was open before untouched.
 */
export function openPolicySet(cedar: Cedar, files: readonly PolicyFile[], digest: string): Opened {
  const errors: PolicyFinding[] = [];
  const warnings: PolicyFinding[] = [];
  const parsed = byName(files).flatMap((file) => parseFile(cedar, file, errors, warnings));
  const byId = new Map<string, Parsed>();
  for (const one of parsed) {
    const { id, file, line } = one.policy;
    const first = byId.get(id)?.policy;
    if (!first) byId.set(id, one);
    else {
      const message = `policy id ${id} is already used at ${first.file}:${first.line}`;
      errors.push({ file, line, message, hint: "give each policy an @id of its own" });
    }
  }
  if (parsed.length === 0 && errors.length === 0) {
    errors.push({ file: "", message: "no policies", hint: "put at least one policy into a *.cedar file" });
  }
  if (errors.length > 0) return { errors };
  return admit(cedar, digest, byId, warnings);
}

/** Lets Cedar forget a set that is no longer asked. */
export function closePolicySet(cedar: Cedar, set: PolicySet): void {
  cedar.preparsePolicySet(set.digest, { staticPolicies: {} });
}

function parseFile(
  cedar: Cedar,
  file: PolicyFile,
  errors: PolicyFinding[],
  warnings: PolicyFinding[],
): Parsed[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(file.bytes);
  } catch {
    // The decoder says only that it failed, so its error adds nothing.
    errors.push({ file: file.name, message: "not UTF-8 text", hint: "save the file as UTF-8" });
    return [];
  }
  return statements(text).flatMap((statement, index) => {
    const before = errors.length;
    const policy = parseStatement(cedar, file.name, index + 1, statement, errors, warnings);
    return policy && errors.length === before ? [{ policy, text: statement.text }] : [];
  });
}

function parseStatement(
  cedar: Cedar,
  file: string,
  ordinal: number,
  statement: Statement,
  errors: PolicyFinding[],
  warnings: PolicyFinding[],
): Policy | undefined {
  const { line } = statement;
  if (statement.depth > DEPTH_MAX || statement.operators > OPERATORS_MAX) {
    const message = `policy nests ${statement.depth} deep (at most ${DEPTH_MAX}) with ${statement.operators} operators (at most ${OPERATORS_MAX})`;
    errors.push({ file, line, message, hint: "compare with a set by contains, or split the policy" });
    return undefined;
  }
  const answer = cedar.policyToJson(statement.text);
  if (answer.type === "failure") {
    errors.push(...answer.errors.flatMap((error) => located(error, file, statement.text, line)));
    return undefined;
  }
  const { effect } = answer.json;
  // An annotation without a value (`@id`) arrives as null, whatever the declaration says.
  const notes = new Map(Object.entries<string | null>(answer.json.annotations ?? {}));
  for (const name of notes.keys()) {
    if (ANNOTATIONS.includes(name)) continue;
    errors.push({
      file,
      line,
      message: `unknown annotation @${name}`,
      hint: `use ${ANNOTATIONS.map((a) => `@${a}`).join(", ")}`,
    });
  }
  if (notes.has("hold") && effect === "permit") {
    // On a permit it would read as a hold and act as a plain allow.
    errors.push({
      file,
      line,
      message: "@hold on a permit",
      hint: "write a forbid with @hold: it is what becomes a hold",
    });
  }
  const id = notes.get("id");
  if (id === undefined) {
    warnings.push({ file, line, message: `policy has no @id, so it is called ${file}#${ordinal}` });
  } else if (id === null || !ID.test(id)) {
    const hint = "1 to 128 of letters, digits and . _ / # -, starting with a letter or digit";
    errors.push({ file, line, message: `not a policy id: ${JSON.stringify(id ?? "")}`, hint });
  }
  const reason = notes.get("reason");
  const severity = notes.get("severity");
  return {
    id: id ?? `${file}#${ordinal}`,
    effect,
    file,
    line,
    ...(reason ? { reason } : {}),
    ...(severity ? { severity } : {}),
  };
}

/** Validates what parsed, and hands it to Cedar to keep. */
function admit(
  cedar: Cedar,
  digest: string,
  byId: ReadonlyMap<string, Parsed>,
  warnings: PolicyFinding[],
): Opened {
  const staticPolicies = Object.fromEntries([...byId].map(([id, one]) => [id, one.text]));
  const answer = cedar.validate({ schema: SCHEMA, policies: { staticPolicies } });
  if (answer.type === "failure") return { errors: answer.errors.map(unplaced) };
  const place = (findings: readonly { policyId: string; error: DetailedError }[]): PolicyFinding[] =>
    findings.flatMap(({ policyId, error }) => {
      const one = byId.get(policyId);
      return one ? located(error, one.policy.file, one.text, one.policy.line) : [unplaced(error)];
    });
  const errors = place(answer.validationErrors).toSorted(inOrder);
  if (errors.length > 0) return { errors };
  for (const kept of [
    cedar.preparseSchema(SCHEMA_NAME, SCHEMA),
    cedar.preparsePolicySet(digest, { staticPolicies }),
  ]) {
    if (kept.type === "failure") return { errors: kept.errors.map(unplaced) };
  }
  const policies = new Map([...byId].map(([id, one]) => [id, one.policy]));
  return {
    set: { digest, policies, warnings: [...warnings, ...place(answer.validationWarnings)].toSorted(inOrder) },
  };
}

const inOrder = (a: PolicyFinding, b: PolicyFinding): number =>
  a.file < b.file ? -1 : a.file > b.file ? 1 : (a.line ?? 0) - (b.line ?? 0);

/** Cedar's error with its related ones, each on its own line of the file. */
function located(error: DetailedError, file: string, text: string, first: number): PolicyFinding[] {
  const place = error.sourceLocations?.[0];
  const line = place ? first + lineAtByte(text, place.start) - 1 : first;
  const hint = error.help ?? place?.label;
  const message = error.message
    .replace(/^failed to parse policy(?: with id `[^`]*`)? from string: /, "")
    .replace(/^for policy `[^`]*`, /, "");
  return [
    { file, line, message, ...(hint ? { hint } : {}) },
    ...(error.related ?? []).flatMap((other) => located(other, file, text, first)),
  ];
}

const unplaced = (error: DetailedError): PolicyFinding => ({
  file: "",
  message: error.message,
  ...(error.help ? { hint: error.help } : {}),
});
