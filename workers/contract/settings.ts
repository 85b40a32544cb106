/** The JSON binding of each service (`GATEWAY_SETTINGS`, …): written by the config generator, parsed once. No secrets. */
import * as v from "valibot";
import { Budget } from "#durable/format/budget/budget.ts";
import { Connection, ConnectionKind } from "#durable/format/connection.ts";
import { SEVERITIES } from "#durable/format/decision.ts";
import { ConnectionName } from "#durable/format/ids.ts";

const Issuer = v.object({
  issuer: v.string(),
  audience: v.string(),
  consoleAudience: v.string(),
  groupsClaim: v.string(),
  algorithms: v.array(v.string()),
});
const Severity = v.picklist(SEVERITIES);

/** What is looked for in bodies, and hidden. */
export const MaskSettings = v.object({
  /** Names of what is hidden at every connection. */
  detectors: v.array(v.string()),
  patterns: v.array(v.object({ name: v.string(), pattern: v.string(), severity: Severity })),
  dictionaries: v.array(v.object({ name: v.string(), words: v.array(v.string()), severity: Severity })),
  /** Absent when nobody runs one. `max`: UTF-16 code units of one request or push that it is asked about. */
  analyzer: v.optional(
    v.object({ severity: Severity, max: v.number(), whenDown: v.picklist(["refuse", "pass"]) }),
  ),
});
export type MaskSettings = v.InferOutput<typeof MaskSettings>;

const Hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

export const GatewaySettings = v.object({
  mask: MaskSettings,
  connections: v.array(Connection),
  issuers: v.array(Issuer),
  /** Seconds without a byte after which a request body, or an upstream, counts as stalled. */
  stallSeconds: v.number(),
  /** The same for event streams, which are silent while nothing happens. */
  streamSeconds: v.number(),
  /** How long a client that can wait is kept waiting for an approval. */
  holdSeconds: v.number(),
  /** Where people decide, when there is such a place: an approval's id is put behind it. */
  approvalsUrl: v.optional(v.string()),
  /** By connection, what git's remotes are called without the gateway: clients are told, to lead them here. */
  remotes: v.optional(v.record(v.string(), v.string())),
});
export type GatewaySettings = v.InferOutput<typeof GatewaySettings>;

/** How the gateway's own credential is put on a request. */
export const CredentialScheme = v.picklist(["basic", "bearer", "header"]);

export const EgressConnection = v.object({
  name: ConnectionName,
  kind: ConnectionKind,
  /** `http`: fetch over the `upstream` binding; `git-daemon`: the git:// protocol over its TCP connect(). */
  transport: v.picklist(["http", "git-daemon"]),
  /** Base URL with no trailing slash: `https://git.internal/team`, `git://127.0.0.1:9418`. */
  base: v.string(),
  /** Name of the external service binding: `UPSTREAM_0`. */
  upstream: v.string(),
  /** Name of the text binding that holds the secret, and how it is used. */
  credential: v.optional(
    v.object({
      binding: v.string(),
      scheme: CredentialScheme,
      /** For the scheme `header`: the field that holds the secret as it is. */
      header: v.optional(v.string()),
    }),
  ),
});
export type EgressConnection = v.InferOutput<typeof EgressConnection>;

export const EgressSettings = v.object({
  connections: v.array(EgressConnection),
  issuers: v.array(
    v.object({
      issuer: v.string(),
      /** Only when the configuration names it: discovery is then not used. */
      jwksUri: v.optional(v.string()),
      /** External service bindings: of the issuer's origin, and of the JWK set's when that is elsewhere. */
      binding: v.string(),
      jwksBinding: v.optional(v.string()),
    }),
  ),
  stallSeconds: v.number(),
  /** The analyzer of personal data, reached by the binding `PRESIDIO`. */
  presidio: v.optional(
    v.object({
      /** With no trailing slash. */
      url: v.string(),
      language: v.string(),
      /** Empty: all that it knows. */
      entities: v.array(v.string()),
      /** From 0 to 1: what it is less sure of does not count. */
      score: v.number(),
      timeoutSeconds: v.number(),
    }),
  ),
});
export type EgressSettings = v.InferOutput<typeof EgressSettings>;

export const EvaluatorSettings = v.object({ pollSeconds: v.number() });
export type EvaluatorSettings = v.InferOutput<typeof EvaluatorSettings>;

export const RecorderSettings = v.object({
  archive: v.variant("kind", [
    v.object({
      kind: v.literal("s3"),
      endpoint: v.string(),
      bucket: v.string(),
      region: v.string(),
      /** Empty, or ends in a slash. */
      prefix: v.string(),
      retentionDays: v.number(),
    }),
    v.object({ kind: v.literal("directory"), retentionDays: v.number() }),
  ]),
  /** Recipients of age: sessions that open are encrypted to them. Empty: they are not encrypted. */
  encryptTo: v.array(v.string()),
  /** Where session keys are: a bucket, or the `KEYS` binding. */
  keys: v.optional(
    v.variant("kind", [
      v.object({
        kind: v.literal("s3"),
        endpoint: v.string(),
        bucket: v.string(),
        region: v.string(),
        /** Empty, or ends in a slash. */
        prefix: v.string(),
      }),
      v.object({ kind: v.literal("directory") }),
    ]),
  ),
  idleSeconds: v.number(),
  maxSeconds: v.number(),
  /** Seconds after which a segment is cut although it is not full. */
  cutSeconds: v.number(),
  /** Seconds after which an open session gets a progress head. */
  headSeconds: v.number(),
  /** How long a hold may be decided on, and an approval be used. */
  approvalSeconds: v.number(),
  /** Groups whose members may approve alone what cannot wait. */
  breakGlass: v.array(v.string()),
  /** Who is told of holds. */
  webhooks: v.array(
    v.object({
      url: v.string(),
      shape: v.picklist(["json", "slack", "teams"]),
      binding: v.string(),
      /** Name of the text binding with the key of its signature. */
      secret: v.optional(v.string()),
    }),
  ),
  /** Where people decide, ending in a slash. */
  approvalsUrl: v.optional(v.string()),
  /** Bytes that may wait for the archive before new sessions are refused. */
  backlogBytes: v.number(),
  budgets: v.array(Budget),
  /** Bare hostname: the log's name. */
  origin: v.string(),
  /** Names of the logs it goes on for, oldest first. */
  previousOrigins: v.array(v.string()),
  /** Those who cosign the ledger's checkpoints, each reached by a binding of its own. */
  witnesses: v.array(v.object({ vkey: v.string(), url: v.string(), binding: v.string() })),
  /** How many of them a checkpoint needs; 0 without any. */
  quorum: v.number(),
  /** Who gives timestamps, over the `TSA` binding; its certificates in PEM, its own first. */
  tsa: v.optional(v.object({ url: v.string(), chain: v.optional(v.string()) })),
  build: Hex,
  config: Hex,
});
export type RecorderSettings = v.InferOutput<typeof RecorderSettings>;

export const Roles = v.object({
  auditor: v.array(v.string()),
  approver: v.array(v.string()),
  admin: v.array(v.string()),
  privacy: v.array(v.string()),
});
/** Role to the groups that have it. */
export type Roles = v.InferOutput<typeof Roles>;

export const ConsoleSettings = v.object({
  issuers: v.array(Issuer),
  roles: Roles,
  /** How long ago somebody who decides on an approval may have logged in. */
  loginSeconds: v.number(),
  /** The longest that something can be approved in advance; 0: not at all. */
  standingSeconds: v.number(),
});
export type ConsoleSettings = v.InferOutput<typeof ConsoleSettings>;
