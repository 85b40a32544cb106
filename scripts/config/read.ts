/** From parsed TOML to the typed file, or to everything that is wrong with it. */
import * as v from "valibot";
import { equal } from "#durable/proof/bytes.ts";
import { wrongRecipients } from "#durable/store/keys/envelope.ts";
import { error, type Finding, warning } from "./finding.ts";
import { type KeyPath, locate } from "./locate.ts";
import { maskProblems } from "./mask.ts";
import { nearest } from "./nearest.ts";
import { ARCHIVE_KEYS, File, HOOK_AGENTS, LATER_TABLES, TABLES, type Table } from "./schema.ts";
import { parseSecretRef } from "./secret.ts";
import { readTsaChain, showAddress } from "./values.ts";

type Raw = Record<string, unknown>;

/** One problem, before it is known on which line. */
type Problem = { readonly path: KeyPath; readonly text: string; readonly mild?: true };

export type Read = { readonly read?: File; readonly findings: readonly Finding[] };

export function readFile(tables: Raw, text: string, name: string, base: string): Read {
  const problems = [...strangers(tables), ...secrets(tables, base)];
  const said = new Set(problems.map(({ path }) => path.join(".")));
  const parsed = v.safeParse(File, tables);
  for (const problem of (parsed.issues ?? []).map(problemOf)) {
    if (![...said].some((path) => path === problem.path.join("."))) problems.push(problem);
  }
  if (parsed.success) problems.push(...contradictions(parsed.output, base), ...stamping(parsed.output, base));
  if (parsed.success) problems.push(...succession(parsed.output));
  const located = problems.map((problem) => ({ ...problem, line: locate(text, problem.path) }));
  located.sort((a, b) => a.line - b.line);
  const findings = located.map(({ line, text: said, mild }) =>
    (mild ? warning : error)(`${name}:${line}`, said),
  );
  return parsed.success ? { read: parsed.output, findings } : { findings };
}

const isTable = (value: unknown): value is Raw =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Keys nobody knows, and those of the contract that are not there yet: never ignored. */
function* strangers(tables: Raw): Generator<Problem> {
  const identity = isTable(tables["identity"]) ? tables["identity"] : {};
  const flat = new Map<string, unknown>(Object.entries(tables).filter(([key]) => key !== "identity"));
  for (const [key, value] of Object.entries(identity)) flat.set(`identity.${key}`, value);
  const mask = isTable(tables["mask"]) ? tables["mask"] : {};
  for (const key of ["patterns", "dictionaries", "presidio"])
    if (key in mask) flat.set(`mask.${key}`, mask[key]);
  const approvals = isTable(tables["approvals"]) ? tables["approvals"] : {};
  if ("webhooks" in approvals) flat.set("approvals.webhooks", approvals["webhooks"]);
  const known = TABLES.map((table) => table.path.join("."));
  for (const [name, value] of flat) {
    const path = name.split(".");
    const table = TABLES.find((candidate) => candidate.path.join(".") === name);
    if (table !== undefined) yield* strangersIn(table, value);
    else if (LATER_TABLES.includes(name)) yield { path, text: `[${name}] is not available yet` };
    else yield { path, text: unknown(isTable(value) || Array.isArray(value) ? "table" : "key", name, known) };
  }
}

function* strangersIn(table: Table, value: unknown): Generator<Problem> {
  const name = table.many ? `[[${table.path.join(".")}]]` : `[${table.path.join(".")}]`;
  const rows = table.many ? (Array.isArray(value) ? value : []) : [value];
  for (const [i, row] of rows.entries()) {
    if (!isTable(row)) continue;
    const path = table.many ? [...table.path, i] : table.path;
    for (const key of Object.keys(row)) {
      const here = [...path, key];
      if (table.later.includes(key)) yield { path: here, text: `${key} in ${name} is not available yet` };
      else if (!table.keys.includes(key))
        yield { path: here, text: `${unknown("key", key, table.keys)} (in ${name})` };
    }
    const kind = row["kind"];
    if (name === "[archive]" && (kind === "s3" || kind === "directory")) yield* misplaced(row, kind);
  }
}

function* misplaced(archive: Raw, kind: "s3" | "directory"): Generator<Problem> {
  const other = kind === "s3" ? ARCHIVE_KEYS.directory : ARCHIVE_KEYS.s3;
  for (const key of Object.keys(archive)) {
    if (other.includes(key) && !ARCHIVE_KEYS[kind].includes(key)) {
      yield { path: ["archive", key], text: `${key} does not apply to an archive of kind "${kind}"` };
    }
  }
}

function unknown(what: "key" | "table", word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return `unknown ${what} "${word}"${near === undefined ? "" : `, did you mean "${near}"?`}`;
}

/** Every secret must be a reference; what stands there instead is not repeated, since it may be the secret. */
function* secrets(tables: Raw, base: string): Generator<Problem> {
  const identity = isTable(tables["identity"]) ? tables["identity"] : {};
  const rows: [KeyPath, unknown][] = [
    [["archive"], tables["archive"]],
    [["evidence"], tables["evidence"]],
    ...list(tables["connections"]).map((row, i): [KeyPath, unknown] => [["connections", i], row]),
    ...list(identity["oidc"]).map((row, i): [KeyPath, unknown] => [["identity", "oidc", i], row]),
    ...webhooksIn(tables).map((row, i): [KeyPath, unknown] => [["approvals", "webhooks", i], row]),
  ];
  for (const [path, row] of rows) {
    if (!isTable(row)) continue;
    for (const key of [
      "access_key",
      "secret_key",
      "keys_access_key",
      "keys_secret_key",
      "seal_key",
      "log_key",
      "log_pq_key",
      "previous_log_key",
      "previous_log_pq_key",
      "credential",
      "client_secret",
      "secret",
    ]) {
      const value = row[key];
      if (typeof value !== "string") continue;
      const ref = parseSecretRef(value, base);
      if ("no" in ref) yield { path: [...path, key], text: `${key}: ${ref.no}` };
    }
    if (!isTable(row["environment"])) continue;
    for (const [name, value] of Object.entries(row["environment"])) {
      if (typeof value !== "string" || !/^(?:env|file|vault):/.test(value)) continue;
      const ref = parseSecretRef(value, base);
      if ("no" in ref) yield { path: [...path, "environment", name], text: `${name}: ${ref.no}` };
    }
  }
}

const webhooksIn = ({ approvals }: Raw): unknown[] => list(isTable(approvals) ? approvals["webhooks"] : []);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function problemOf(issue: v.BaseIssue<unknown>): Problem {
  const path = (issue.path ?? []).map((item) => item.key as string | number);
  const key = String(path.findLast((part) => typeof part === "string") ?? "");
  if (issue.received === "undefined") return { path, text: `${key} is missing` };
  const plain = issue.message.startsWith("Invalid type: ") ? `must be ${expected(issue)}` : issue.message;
  return { path, text: plain.startsWith(`${key} `) ? plain : `${key}: ${plain}` };
}

function expected({ expected }: v.BaseIssue<unknown>): string {
  if (expected === "Array") return "a list";
  if (expected === "Object") return "a table";
  if (expected === "string") return "text in quotes";
  return (expected ?? "something else").replaceAll(/[()]/g, "").replaceAll(" | ", " or ");
}

function* encryption({ archive, evidence }: File): Generator<Problem> {
  const wrong = wrongRecipients(evidence.encrypt_to);
  if (wrong !== undefined) yield { path: ["evidence", "encrypt_to"], text: `encrypt_to: ${wrong}` };
  if (archive.kind === "directory") return;
  const { bucket, keys_bucket, keys_access_key, keys_secret_key } = archive;
  if (evidence.encrypt_to.length > 0 && keys_bucket === undefined) {
    const text =
      "encrypt_to needs keys_bucket in [archive]: a bucket without versions and without Object Lock";
    yield { path: ["evidence", "encrypt_to"], text };
  }
  if (keys_bucket === bucket) {
    const text = "keys_bucket must not be the archive's bucket: what is locked there cannot be deleted";
    yield { path: ["archive", "keys_bucket"], text };
  }
  if ((keys_access_key === undefined) !== (keys_secret_key === undefined))
    yield { path: ["archive"], text: "keys_access_key and keys_secret_key go together" };
}

/** What each key allows and the whole does not. */
function* contradictions(file: File, base: string): Generator<Problem> {
  const masked = file.connections.map((connection) => connection.mask);
  yield* maskProblems(file.mask, masked, base);
  const { agents, console } = file.listen;
  if (agents.port !== 0 && showAddress(agents) === showAddress(console)) {
    yield { path: ["listen", "console"], text: "agents and console must not share a socket" };
  }
  for (const [i, budget] of file.budgets.entries()) {
    const path = ["budgets", i];
    if (file.budgets.findIndex(({ name }) => name === budget.name) < i)
      yield { path: [...path, "name"], text: `there is already a budget named "${budget.name}"` };
    const { requests, bytes, tokens, concurrent, session_seconds } = budget;
    if ([requests, bytes, tokens, concurrent, session_seconds].every((limit) => limit === undefined))
      yield { path, text: "a budget needs requests, bytes, tokens, concurrent or session_seconds" };
    if (budget.connection !== undefined && !file.connections.some(({ name }) => name === budget.connection))
      yield { path: [...path, "connection"], text: `there is no connection named "${budget.connection}"` };
  }
  for (const [i, connection] of file.connections.entries()) {
    const path = ["connections", i];
    const first = file.connections.findIndex(({ name }) => name === connection.name);
    if (first < i)
      yield { path: [...path, "name"], text: `there is already a connection named "${connection.name}"` };
    yield* upstreamProblems(connection, path);
    if (connection.kind === "git" && connection.mask.length > 0) {
      const text =
        "mask has no effect on a git connection: packs are never changed; deny by findings instead";
      yield { path: [...path, "mask"], text };
    }
    if (connection.prefix !== undefined && connection.kind !== "mcp")
      yield {
        path: [...path, "prefix"],
        text: "prefix is for connections of kind mcp: only they have tools",
      };
    if ((connection.scheme === "header") !== (connection.header !== undefined))
      yield {
        path: [...path, "header"],
        text: 'header names the field of a credential whose scheme is "header"; they go together',
      };
  }
  yield* unwitnessed(file.evidence);
  for (const [i, oidc] of file.identity.oidc.entries()) {
    const path = ["identity", "oidc", i];
    const first = file.identity.oidc.findIndex(({ issuer }) => issuer === oidc.issuer);
    if (first < i) yield { path: [...path, "issuer"], text: `there is already an issuer ${oidc.issuer}` };
    if (oidc.audience === oidc.console_audience) {
      yield { path: [...path, "console_audience"], text: "audience and console_audience must differ" };
    }
    if (oidc.client_secret !== undefined && oidc.client_id === undefined) {
      yield { path: [...path, "client_secret"], text: "client_secret without client_id" };
    }
  }
  yield* encryption(file);
  if (file.serve.topology === "single" && file.serve.fronts !== undefined) {
    yield { path: ["serve", "fronts"], text: 'fronts has no effect unless topology = "split"', mild: true };
  }
  if (file.session.idle_seconds > file.session.max_seconds) {
    yield { path: ["session", "idle_seconds"], text: "idle_seconds must not exceed max_seconds" };
  }
}

/** Hooks have no upstream, everything else has one. */
function* upstreamProblems(
  { kind, name, upstream, credential, command }: File["connections"][number],
  path: KeyPath,
): Generator<Problem> {
  if (kind === "hooks") {
    if (!HOOK_AGENTS.includes(name)) {
      const text = `a connection of kind hooks is named after its agent: ${HOOK_AGENTS.join(" or ")}`;
      yield { path: [...path, "name"], text };
    }
    if (upstream !== undefined || credential !== undefined) {
      const key = upstream === undefined ? "credential" : "upstream";
      yield { path: [...path, key], text: "hooks have no upstream: the answer to a hook is the decision" };
    }
    return;
  }
  if (command !== undefined) {
    if (kind !== "mcp")
      yield { path: [...path, "command"], text: `a connection of kind ${kind} is no program` };
    if (upstream !== undefined || credential !== undefined) {
      const key = upstream === undefined ? "credential" : "upstream";
      yield { path: [...path, key], text: "a program has no upstream: what it must know is in environment" };
    }
    return;
  }
  if (upstream === undefined) {
    const text = kind === "mcp" ? "upstream is missing, or command for a program" : "upstream is missing";
    yield { path: [...path, "upstream"], text };
    return;
  }
  if (upstream.scheme === "git" && credential !== undefined)
    yield { path: [...path, "credential"], text: "a git:// upstream takes no credential" };
  if (upstream.scheme === "git" && kind !== "git") {
    const text = `a connection of kind ${kind} needs http:// or https://`;
    yield { path: [...path, "upstream"], text };
  }
}

function* stamping({ evidence: { tsa, tsa_cert } }: File, base: string): Generator<Problem> {
  const path = ["evidence", "tsa_cert"];
  if (tsa_cert === undefined) return;
  if (tsa === undefined) yield { path, text: "tsa_cert without tsa: where the authority is" };
  const chain = readTsaChain(tsa_cert, base);
  if ("no" in chain) yield { path, text: `tsa_cert: ${chain.no}` };
}

function* succession({ evidence }: File): Generator<Problem> {
  const { origin, previous_origins: previous } = evidence;
  const all = [...previous, origin];
  const twice = all.find((name, i) => all.indexOf(name) < i);
  if (twice !== undefined)
    yield {
      path: ["evidence", "previous_origins"],
      text: `"${twice}" is named twice: each log has a name of its own`,
    };
  for (const key of ["previous_log_key", "previous_log_pq_key"] as const)
    if (evidence[key] !== undefined && previous.length === 0)
      yield { path: ["evidence", key], text: `${key} without previous_origins: which log is it of?` };
}

function* unwitnessed({ witnesses, quorum }: File["evidence"]): Generator<Problem> {
  const path = ["evidence", "witnesses"];
  for (const [i, { key }] of witnesses.entries())
    if (witnesses.findIndex((other) => equal(other.key.bytes, key.bytes)) < i)
      yield { path, text: `witnesses: ${key.name} is there twice, or under two names` };
  if (quorum !== undefined && quorum > witnesses.length)
    yield { path: ["evidence", "quorum"], text: `quorum: there are ${witnesses.length} witnesses` };
}
