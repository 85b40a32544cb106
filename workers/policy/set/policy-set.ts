/** A directory of Cedar files as one set: every policy named, checked against the schema, parsed once. */

import type { Cedar, DetailedError } from "../cedar.ts";
import { readShapes, type Shapes } from "../question/shape.ts";
import { SCHEMA } from "../schema.ts";
import { type Annotations, readAnnotations } from "./annotations.ts";
import { readsOf, type Scope } from "./scope.ts";
import { Slices } from "./slices.ts";
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

export type Policy = Omit<Annotations, "id"> & {
  readonly id: string;
  readonly effect: "permit" | "forbid";
  readonly file: string;
  readonly line: number;
  /** From its first letter to its semicolon. */
  readonly text: string;
  readonly scope: Scope;
  /** Members of the context it mentions; undefined: it uses the context as a whole. */
  readonly reads: ReadonlySet<string> | undefined;
};

export type PolicySet = {
  /** SHA-256 over names and bytes of its files. */
  readonly digest: string;
  readonly policies: ReadonlyMap<string, Policy>;
  /** What questions are asked of. */
  readonly slices: Slices;
  readonly shapes: Shapes;
  /** Nothing that stops it from loading: policies without an id of their own, or that can never apply. */
  readonly warnings: readonly PolicyFinding[];
};

export type Opened = { readonly set: PolicySet } | { readonly errors: readonly PolicyFinding[] };

/**
 * Parses and validates files into one set, which Cedar then holds until `closePolicySet`. `digest` is theirs. All or
 * nothing: any error leaves what was open before untouched.
 */
export function openPolicySet(cedar: Cedar, files: readonly PolicyFile[], digest: string): Opened {
  const errors: PolicyFinding[] = [];
  const warnings: PolicyFinding[] = [];
  const parsed = byName(files).flatMap((file) => parseFile(cedar, file, errors, warnings));
  const byId = new Map<string, Policy>();
  for (const one of parsed) {
    const { id, file, line } = one;
    const first = byId.get(id);
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
export function closePolicySet(set: PolicySet): void {
  set.slices.close();
}

function parseFile(
  cedar: Cedar,
  file: PolicyFile,
  errors: PolicyFinding[],
  warnings: PolicyFinding[],
): Policy[] {
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
    return policy && errors.length === before ? [policy] : [];
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
  const { effect, principal, action, resource } = answer.json;
  // An annotation without a value (`@id`) arrives as null, whatever the declaration says.
  const notes: Readonly<Record<string, string | null>> = answer.json.annotations ?? {};
  const { id, ...said } = readAnnotations(notes, effect, (wrong) => errors.push({ file, line, ...wrong }));
  if (!Object.hasOwn(notes, "id"))
    warnings.push({ file, line, message: `policy has no @id, so it is called ${file}#${ordinal}` });
  return {
    id: id ?? `${file}#${ordinal}`,
    effect,
    file,
    line,
    text: statement.text,
    scope: { principal, action, resource },
    reads: readsOf(answer.json),
    ...said,
  };
}

/** Validates what parsed, and hands it to Cedar to keep. */
function admit(
  cedar: Cedar,
  digest: string,
  policies: ReadonlyMap<string, Policy>,
  warnings: PolicyFinding[],
): Opened {
  const staticPolicies = Object.fromEntries([...policies].map(([id, { text }]) => [id, text]));
  const answer = cedar.validate({ schema: SCHEMA, policies: { staticPolicies } });
  if (answer.type === "failure") return { errors: answer.errors.map(unplaced) };
  const place = (findings: readonly { policyId: string; error: DetailedError }[]): PolicyFinding[] =>
    findings.flatMap(({ policyId, error }) => {
      const one = policies.get(policyId);
      return one ? located(error, one.file, one.text, one.line) : [unplaced(error)];
    });
  const errors = place(answer.validationErrors).toSorted(inOrder);
  if (errors.length > 0) return { errors };
  const all = [...warnings, ...place(answer.validationWarnings)].toSorted(inOrder);
  const slices = new Slices(cedar, digest, [...policies.values()]);
  return { set: { digest, policies, slices, shapes: readShapes(cedar), warnings: all } };
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
