/** The tables of steno.toml (docs/configuration.md): which keys there are, what they may hold, and what is not there yet. */
import * as v from "valibot";
import { Budget } from "#durable/format/budget/budget.ts";
import { Bodies, ConnectionKind, Inspect } from "#durable/format/connection.ts";
import { ConnectionName } from "#durable/format/ids.ts";
import { CredentialScheme } from "#workers/contract/settings.ts";
import { mask, maskDictionary, maskPattern, maskPresidio } from "./mask.ts";
import { GitUrl, ListenAddress, WebOrigin, WebUrl, WitnessText, whole, word } from "./values.ts";

const DAY = 86_400;
const groups = v.optional(v.array(word), []);

/** Asymmetric JWS algorithms (RFC 7518, RFC 8037, RFC 9864): never `none`, never HMAC. */
const Algorithm = v.picklist(
  ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
  "must name asymmetric JWS algorithms: RS256 … PS512, ES256 … ES512, EdDSA, Ed25519",
);

const listen = v.object({
  agents: v.optional(ListenAddress, "127.0.0.1:8787"),
  console: v.optional(ListenAddress, "127.0.0.1:8788"),
});

const oidc = v.object({
  issuer: v.pipe(
    word,
    v.check((text) => WebUrlOf(text), "must be an http(s) URL without query or fragment"),
  ),
  audience: v.optional(word, "steno"),
  console_audience: v.optional(word, "steno-console"),
  groups_claim: v.optional(word, "groups"),
  algorithms: v.optional(v.pipe(v.array(Algorithm), v.minLength(1, "must not be empty")), [
    "RS256",
    "ES256",
    "EdDSA",
  ]),
  jwks_uri: v.exactOptional(
    v.pipe(
      word,
      v.check((text) => WebUrlOf(text), "must be an http(s) URL"),
    ),
  ),
  client_id: v.exactOptional(word),
  client_secret: v.exactOptional(v.string()),
});

function WebUrlOf(text: string): boolean {
  return v.is(WebUrl, text);
}

const roles = v.object({ auditor: groups, approver: groups, admin: groups, privacy: groups });

const BUCKET = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "is not a bucket name"));

const s3 = v.object({
  kind: v.literal("s3"),
  endpoint: WebOrigin,
  bucket: BUCKET,
  region: v.optional(word, "us-east-1"),
  access_key: v.string(),
  secret_key: v.string(),
  retention_days: v.optional(whole(1, 36_500), 400),
  prefix: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^(?:[A-Za-z0-9][A-Za-z0-9._-]*\/?)*$/, "is not a key prefix, such as steno/"),
    ),
    "",
  ),
  backlog_mb: v.optional(whole(1, 1_000_000), 1024),
  keys_bucket: v.exactOptional(BUCKET),
  keys_access_key: v.exactOptional(v.string()),
  keys_secret_key: v.exactOptional(v.string()),
});

const directory = v.object({
  kind: v.literal("directory"),
  path: v.exactOptional(word),
  keys_path: v.exactOptional(word),
  retention_days: v.optional(whole(0, 36_500), 0),
  backlog_mb: v.optional(whole(1, 1_000_000), 1024),
});

const archive = v.variant("kind", [s3, directory], 'archive.kind must be "s3" or "directory"');

const session = v.object({
  idle_seconds: v.optional(whole(1, 30 * DAY), 900),
  max_seconds: v.optional(whole(1, 30 * DAY), 28_800),
  cut_seconds: v.optional(whole(1, 300), 300),
  head_seconds: v.optional(whole(1, DAY), 600),
});

const serve = v.object({
  topology: v.optional(v.picklist(["single", "split"], 'must be "single" or "split"'), "single"),
  fronts: v.exactOptional(whole(1, 64)),
  stall_seconds: v.optional(whole(1, 3600), 60),
  stream_seconds: v.optional(whole(1, DAY), 3600),
  state: v.optional(word, ".steno"),
});

const policy = v.object({ dir: v.optional(word, "./policies"), poll_seconds: v.optional(whole(1, 3600), 5) });

/** Of a log: a bare hostname. */
export const ORIGIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const origin = v.pipe(
  v.string(),
  v.regex(ORIGIN, "must be a bare hostname in lower case: the ledger's name"),
);
const evidence = v.object({
  origin: v.optional(origin, "steno.localhost"),
  previous_origins: v.optional(v.pipe(v.array(origin), v.maxLength(100, "must name at most 100")), []),
  seal_key: v.exactOptional(v.string()),
  log_key: v.exactOptional(v.string()),
  log_pq_key: v.exactOptional(v.string()),
  previous_log_key: v.exactOptional(v.string()),
  previous_log_pq_key: v.exactOptional(v.string()),
  witnesses: v.optional(v.pipe(v.array(WitnessText), v.maxLength(32, "must name at most 32")), []),
  quorum: v.exactOptional(whole(1, 32)),
  encrypt_to: v.optional(v.array(word), []),
  tsa: v.exactOptional(WebUrl),
  tsa_cert: v.exactOptional(word),
});

const connection = v.object({
  name: ConnectionName,
  kind: v.picklist(ConnectionKind.options, `must be one of ${ConnectionKind.options.join(", ")}`),
  upstream: v.exactOptional(GitUrl),
  credential: v.exactOptional(v.string()),
  scheme: v.optional(CredentialScheme, "basic"),
  header: v.exactOptional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9-]{1,64}$/, "is not the name of a header"))),
  bodies: v.optional(Bodies, "full"),
  mask: v.optional(v.array(word), []),
  inspect: v.optional(Inspect, "full"),
  command: v.exactOptional(
    v.pipe(
      v.array(v.pipe(v.string(), v.nonEmpty("must not be empty"))),
      v.minLength(1, "must name a program"),
    ),
  ),
  directory: v.exactOptional(word),
  environment: v.optional(
    v.record(
      v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "is not the name of a variable")),
      v.string(),
    ),
    {},
  ),
  children: v.optional(whole(1, 256), 16),
  memory_mb: v.exactOptional(whole(16, 1_048_576)),
  idle_seconds: v.optional(whole(1, DAY), 900),
  prefix: v.exactOptional(
    v.pipe(
      v.string(),
      v.regex(/^[A-Za-z0-9_.-]{1,32}$/, "is what names of tools begin with: 1 to 32 of A-Z a-z 0-9 _ . -"),
    ),
  ),
});

const group = v.exactOptional(word);
const budget = v.object({
  name: Budget.entries.name,
  group,
  connection: v.exactOptional(ConnectionName),
  operation: Budget.entries.operation,
  window_seconds: v.optional(whole(1, 31 * DAY), 3600),
  requests: v.exactOptional(whole(1, 1e9)),
  bytes: v.exactOptional(whole(1, 1e15)),
  tokens: v.exactOptional(whole(1, 1e12)),
  concurrent: v.exactOptional(whole(1, 1e6)),
  session_seconds: v.exactOptional(whole(1, 30 * DAY)),
});

const webhook = v.object({
  url: WebUrl,
  shape: v.optional(v.picklist(["json", "slack", "teams"], 'must be "json", "slack" or "teams"'), "json"),
  secret: v.exactOptional(v.string()),
});
const approvals = v.object({
  hold_seconds: v.optional(whole(1, 3600), 480),
  approval_seconds: v.optional(whole(1, 30 * DAY), 3600),
  login_seconds: v.optional(whole(1, DAY), 300),
  standing_seconds: v.optional(whole(0, 30 * DAY), 8 * 3600),
  url: v.exactOptional(
    v.pipe(
      word,
      v.check((text) => WebUrlOf(text), "must be an http(s) URL without query or fragment"),
    ),
  ),
  break_glass: groups,
  webhooks: v.optional(v.pipe(v.array(webhook), v.maxLength(8, "must not be more than 8")), []),
});

/** One table of the file. `many` marks `[[…]]`. `later` names keys of the contract that are not there yet. */
export type Table = {
  readonly path: readonly string[];
  readonly many: boolean;
  readonly keys: readonly string[];
  readonly later: readonly string[];
};

const keysOf = (...schemas: { readonly entries: object }[]) => [
  ...new Set(schemas.flatMap((schema) => Object.keys(schema.entries))),
];

export const TABLES: readonly Table[] = [
  { path: ["listen"], many: false, keys: keysOf(listen), later: ["tls"] },
  { path: ["identity", "oidc"], many: true, keys: keysOf(oidc), later: [] },
  { path: ["roles"], many: false, keys: keysOf(roles), later: [] },
  { path: ["archive"], many: false, keys: keysOf(s3, directory), later: [] },
  { path: ["session"], many: false, keys: keysOf(session), later: [] },
  { path: ["serve"], many: false, keys: keysOf(serve), later: [] },
  { path: ["policy"], many: false, keys: keysOf(policy), later: [] },
  { path: ["approvals"], many: false, keys: keysOf(approvals), later: [] },
  { path: ["approvals", "webhooks"], many: true, keys: keysOf(webhook), later: [] },
  { path: ["mask"], many: false, keys: keysOf(mask), later: [] },
  { path: ["mask", "presidio"], many: false, keys: keysOf(maskPresidio), later: [] },
  { path: ["mask", "patterns"], many: true, keys: keysOf(maskPattern), later: [] },
  { path: ["mask", "dictionaries"], many: true, keys: keysOf(maskDictionary), later: [] },
  {
    path: ["evidence"],
    many: false,
    keys: keysOf(evidence),
    later: [],
  },
  { path: ["budgets"], many: true, keys: keysOf(budget), later: [] },
  { path: ["connections"], many: true, keys: keysOf(connection), later: [] },
];

/** Tables of the contract that are not there yet. */
export const LATER_TABLES: readonly string[] = ["cluster", "identity.saml"];

/** Names of connections of kind hooks: the agents whose hooks are understood. */
export const HOOK_AGENTS: readonly string[] = ["cursor", "claude"];

/** Keys of one archive kind only; the other kind does not know them. */
export const ARCHIVE_KEYS = { s3: keysOf(s3), directory: keysOf(directory) } as const;

export const File = v.object({
  listen: v.optional(listen, {}),
  identity: v.optional(v.object({ oidc: v.optional(v.array(oidc), []) }), {}),
  roles: v.optional(roles, {}),
  archive: v.optional(archive, { kind: "directory" }),
  session: v.optional(session, {}),
  serve: v.optional(serve, {}),
  policy: v.optional(policy, {}),
  approvals: v.optional(approvals, {}),
  mask: v.optional(mask, {}),
  evidence: v.optional(evidence, {}),
  budgets: v.optional(v.array(budget), []),
  connections: v.optional(v.array(connection), []),
});
export type File = v.InferOutput<typeof File>;
