/** steno.toml as the rest of `scripts/` sees it: parsed, complete, with secrets as references. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { Budget } from "#durable/format/budget/budget.ts";
import type { Bodies, ConnectionKind, Inspect } from "#durable/format/connection.ts";
import type { ConnectionName } from "#durable/format/ids.ts";
import type { Program } from "#scripts/programs/program.ts";
import type { EgressConnection, MaskSettings, Roles } from "#workers/contract/settings.ts";
import { error, type Finding, failed, reason } from "./finding.ts";
import { maskSettings, type PresidioSettings, presidioSettings } from "./mask.ts";
import { readFile } from "./read.ts";
import type { File } from "./schema.ts";
import { parseSecretRef, type SecretRef } from "./secret.ts";
import { type Address, type Remote, readTsaChain, type WitnessAt } from "./values.ts";

export type OidcSettings = {
  readonly issuer: string;
  readonly audience: string;
  readonly consoleAudience: string;
  readonly groupsClaim: string;
  readonly algorithms: readonly string[];
  readonly jwksUri?: string;
  readonly client?: { readonly id: string; readonly secret?: SecretRef };
};

export type ArchiveSettings =
  | {
      readonly kind: "s3";
      readonly endpoint: Remote;
      readonly bucket: string;
      readonly region: string;
      /** Empty, or ends in a slash. */
      readonly prefix: string;
      readonly accessKey: SecretRef;
      readonly secretKey: SecretRef;
      readonly retentionDays: number;
      readonly backlogBytes: number;
    }
  | {
      readonly kind: "directory";
      readonly path: string;
      readonly retentionDays: number;
      readonly backlogBytes: number;
    };

/** Where the keys of encrypted sessions are. A bucket is at the archive's endpoint, below the archive's prefix. */
export type KeysSettings =
  | {
      readonly kind: "s3";
      readonly endpoint: Remote;
      readonly bucket: string;
      readonly region: string;
      readonly prefix: string;
      readonly accessKey: SecretRef;
      readonly secretKey: SecretRef;
    }
  | { readonly kind: "directory"; readonly path: string };

type Scheme = NonNullable<EgressConnection["credential"]>["scheme"];

export type ConnectionSettings = {
  readonly name: ConnectionName;
  readonly kind: ConnectionKind;
  /** Detectors whose findings are hidden here, besides those of `[mask]`. */
  readonly mask: readonly string[];
  readonly bodies: Bodies;
  readonly inspect: Inspect;
  /** What agents are told before the name of each tool, where there is such a thing. */
  readonly prefix?: string;
  /** Absent for hooks, whose answer is the decision. */
  readonly upstream?: Remote;
  readonly credential?: { readonly secret: SecretRef; readonly scheme: Scheme; readonly header?: string };
  /** In place of an upstream: a server that is started here, and speaks over its standard streams. */
  readonly program?: Omit<Program, "name" | "environment"> & {
    /** References, and what is no secret as it is. */
    readonly environment: Readonly<Record<string, SecretRef | string>>;
  };
};

export type Settings = {
  /** Absolute path; absent with the embedded defaults. */
  readonly file?: string;
  /** SHA-256 of the file's bytes, hex; of nothing with the embedded defaults. */
  readonly digest: string;
  readonly listen: { readonly agents: Address; readonly console: Address };
  readonly issuers: readonly OidcSettings[];
  readonly roles: Roles;
  readonly archive: ArchiveSettings;
  /** Absent where nothing is, or was, encrypted. */
  readonly keys?: KeysSettings;
  readonly session: {
    readonly idleSeconds: number;
    readonly maxSeconds: number;
    readonly cutSeconds: number;
    readonly headSeconds: number;
  };
  readonly serve: {
    readonly topology: "single" | "split";
    /** Front processes: 1 when single. */
    readonly fronts: number;
    readonly stallSeconds: number;
    readonly streamSeconds: number;
    /** Absolute path of the node's own directory: objects, keys, the running configuration. */
    readonly state: string;
  };
  readonly policy: { readonly dir: string; readonly pollSeconds: number };
  readonly evidence: {
    readonly origin: string;
    readonly sealKey?: SecretRef;
    readonly logKey?: SecretRef;
    readonly logPqKey?: SecretRef;
    /** Names of the logs that this one goes on for, oldest first. */
    readonly previousOrigins: readonly string[];
    /** Keys of the newest of them, which may still have to end. */
    readonly previousLogKey?: SecretRef;
    readonly previousLogPqKey?: SecretRef;
    readonly witnesses: readonly WitnessAt[];
    /** How many of them a checkpoint needs: all unless fewer are asked for, 0 without any. */
    readonly quorum: number;
    /** The timestamp authority, and the PEM of its certificates, its own first. */
    readonly tsa?: { readonly url: Remote; readonly chain?: string };
    /** Recipients of age; empty when nothing is encrypted. */
    readonly encryptTo: readonly string[];
  };
  readonly approvals: {
    readonly holdSeconds: number;
    readonly approvalSeconds: number;
    readonly loginSeconds: number;
    /** The longest that something can be approved in advance; 0: not at all. */
    readonly standingSeconds: number;
    /** Ends in a slash. */
    readonly url?: string;
    /** Groups whose members may approve alone what cannot wait. */
    readonly breakGlass: readonly string[];
    /** Who is told of holds. */
    readonly webhooks: readonly {
      readonly url: Remote;
      readonly shape: "json" | "slack" | "teams";
      /** Key of its signature. */
      readonly secret?: SecretRef;
    }[];
  };
  readonly mask: MaskSettings;
  readonly presidio: PresidioSettings | undefined;
  readonly budgets: readonly Budget[];
  readonly connections: readonly ConnectionSettings[];
};

export type Loaded = { readonly settings?: Settings; readonly findings: readonly Finding[] };

export const CONFIG_NAME = "steno.toml";

/** Reads the named file, or `steno.toml` in `cwd`, or the embedded defaults when there is none. */
export function loadSettings(cwd: string, named?: string): Loaded {
  const file = resolve(cwd, named ?? CONFIG_NAME);
  if (named === undefined && !existsSync(file)) return parseSettings("", cwd);
  try {
    return parseSettings(readFileSync(file, "utf8"), dirname(file), file);
  } catch (thrown) {
    return { findings: [error(named ?? CONFIG_NAME, `cannot be read: ${reason(thrown)}`)] };
  }
}

/** Paths in the text are relative to `base`. Every error is found, not only the first. */
export function parseSettings(text: string, base: string, file?: string): Loaded {
  const name = basename(file ?? CONFIG_NAME);
  let tables: Record<string, unknown>;
  try {
    tables = parse(text);
  } catch (thrown) {
    if (!(thrown instanceof TomlError)) throw thrown;
    const first = thrown.message.split("\n")[0] ?? "";
    return {
      findings: [error(`${name}:${thrown.line}`, first.replace("Invalid TOML document: ", "not TOML: "))],
    };
  }
  const { read, findings } = readFile(tables, text, name, base);
  if (read === undefined || failed(findings)) return { findings };
  const digest = createHash("sha256").update(text).digest("hex");
  return {
    settings: { ...(file === undefined ? {} : { file }), digest, ...settingsOf(read, base) },
    findings,
  };
}

function settingsOf(file: File, base: string): Omit<Settings, "digest" | "file"> {
  const state = resolve(base, file.serve.state);
  return {
    listen: file.listen,
    issuers: file.identity.oidc.map((oidc) => issuerOf(oidc, base)),
    roles: file.roles,
    archive: archiveOf(file.archive, base, state),
    ...keysOf(file, base, state),
    session: {
      idleSeconds: file.session.idle_seconds,
      maxSeconds: file.session.max_seconds,
      cutSeconds: file.session.cut_seconds,
      headSeconds: file.session.head_seconds,
    },
    serve: {
      topology: file.serve.topology,
      fronts: file.serve.topology === "single" ? 1 : (file.serve.fronts ?? 2),
      stallSeconds: file.serve.stall_seconds,
      streamSeconds: file.serve.stream_seconds,
      state,
    },
    policy: { dir: resolve(base, file.policy.dir), pollSeconds: file.policy.poll_seconds },
    evidence: {
      origin: file.evidence.origin,
      encryptTo: file.evidence.encrypt_to,
      ...(file.evidence.seal_key === undefined ? {} : { sealKey: secret(file.evidence.seal_key, base) }),
      ...(file.evidence.log_key === undefined ? {} : { logKey: secret(file.evidence.log_key, base) }),
      ...(file.evidence.log_pq_key === undefined ? {} : { logPqKey: secret(file.evidence.log_pq_key, base) }),
      ...previousOf(file.evidence, base),
      witnesses: file.evidence.witnesses,
      ...tsaOf(file.evidence, base),
      quorum: file.evidence.quorum ?? file.evidence.witnesses.length,
    },
    approvals: approvalsOf(file.approvals, base),
    mask: maskSettings(file.mask, base),
    presidio: presidioSettings(file.mask),
    budgets: file.budgets.map(({ window_seconds, session_seconds, ...budget }) => ({
      ...budget,
      windowSeconds: window_seconds,
      ...(session_seconds === undefined ? {} : { sessionSeconds: session_seconds }),
    })),
    connections: file.connections.map((connection) => connectionOf(connection, base)),
  };
}

function approvalsOf({ url, ...times }: File["approvals"], base: string): Settings["approvals"] {
  return {
    holdSeconds: times.hold_seconds,
    approvalSeconds: times.approval_seconds,
    loginSeconds: times.login_seconds,
    standingSeconds: times.standing_seconds,
    breakGlass: times.break_glass,
    ...(url === undefined ? {} : { url: `${url.replace(/\/$/, "")}/` }),
    webhooks: times.webhooks.map(({ secret: key, ...webhook }) => ({
      ...webhook,
      ...(key !== undefined && { secret: secret(key, base) }),
    })),
  };
}

function previousOf(
  { previous_origins, previous_log_key: key, previous_log_pq_key: pqKey }: File["evidence"],
  base: string,
): Pick<Settings["evidence"], "previousOrigins" | "previousLogKey" | "previousLogPqKey"> {
  return {
    previousOrigins: previous_origins,
    ...(key !== undefined && { previousLogKey: secret(key, base) }),
    ...(pqKey !== undefined && { previousLogPqKey: secret(pqKey, base) }),
  };
}

function tsaOf({ tsa: url, tsa_cert }: File["evidence"], base: string): Pick<Settings["evidence"], "tsa"> {
  if (url === undefined) return {};
  if (tsa_cert === undefined) return { tsa: { url } };
  const chain = readTsaChain(tsa_cert, base);
  // `readFile` has refused it.
  if ("no" in chain) throw new Error(chain.no);
  return { tsa: { url, chain: chain.pem } };
}

function connectionOf(connection: File["connections"][number], base: string): ConnectionSettings {
  const { name, kind, bodies, inspect, mask, prefix, upstream, credential, scheme, header } = connection;
  const program = programOf(connection, base);
  const own = {
    ...(prefix !== undefined && { prefix }),
    ...(upstream && { upstream }),
    ...(program && { program }),
  };
  const plain = { name, kind, bodies, inspect, mask, ...own };
  if (credential === undefined) return plain;
  const field = header === undefined ? {} : { header: header.toLowerCase() };
  return { ...plain, credential: { secret: secret(credential, base), scheme, ...field } };
}

const REFERENCE = /^(?:env|file|vault):/;

function programOf(
  { command, directory, environment, children, memory_mb, idle_seconds }: File["connections"][number],
  base: string,
): ConnectionSettings["program"] {
  if (command === undefined) return undefined;
  return {
    ...{ command, children, idleSeconds: idle_seconds },
    directory: directory === undefined ? base : resolve(base, directory),
    environment: Object.fromEntries(
      Object.entries(environment).map(([name, text]) => [
        name,
        REFERENCE.test(text) ? secret(text, base) : text,
      ]),
    ),
    ...(memory_mb !== undefined && { memoryMb: memory_mb }),
  };
}

function issuerOf(oidc: File["identity"]["oidc"][number], base: string): OidcSettings {
  const client = oidc.client_id;
  const own = oidc.client_secret === undefined ? {} : { secret: secret(oidc.client_secret, base) };
  return {
    issuer: oidc.issuer,
    audience: oidc.audience,
    consoleAudience: oidc.console_audience,
    groupsClaim: oidc.groups_claim,
    algorithms: oidc.algorithms,
    ...(oidc.jwks_uri === undefined ? {} : { jwksUri: oidc.jwks_uri }),
    ...(client === undefined ? {} : { client: { id: client, ...own } }),
  };
}

function archiveOf(archive: File["archive"], base: string, state: string): ArchiveSettings {
  const bounds = { retentionDays: archive.retention_days, backlogBytes: archive.backlog_mb * 1_048_576 };
  if (archive.kind === "directory") {
    const path = archive.path === undefined ? join(state, "archive") : resolve(base, archive.path);
    return { kind: "directory", path, ...bounds };
  }
  return {
    kind: "s3",
    endpoint: archive.endpoint,
    bucket: archive.bucket,
    region: archive.region,
    prefix: archive.prefix === "" || archive.prefix.endsWith("/") ? archive.prefix : `${archive.prefix}/`,
    accessKey: secret(archive.access_key, base),
    secretKey: secret(archive.secret_key, base),
    ...bounds,
  };
}

function keysOf({ archive, evidence }: File, base: string, state: string): { keys?: KeysSettings } {
  const stored = archiveOf(archive, base, state);
  if (archive.kind === "directory") {
    if (evidence.encrypt_to.length === 0 && archive.keys_path === undefined) return {};
    const beside = stored.kind === "directory" ? `${stored.path}-keys` : "";
    const path = archive.keys_path === undefined ? beside : resolve(base, archive.keys_path);
    return { keys: { kind: "directory", path } };
  }
  if (stored.kind !== "s3" || archive.keys_bucket === undefined) return {};
  const { endpoint, region, prefix } = stored;
  return {
    keys: {
      kind: "s3",
      endpoint,
      region,
      prefix,
      bucket: archive.keys_bucket,
      accessKey: secret(archive.keys_access_key ?? archive.access_key, base),
      secretKey: secret(archive.keys_secret_key ?? archive.secret_key, base),
    },
  };
}

/** `readFile` has refused what is no reference. */
function secret(text: string, base: string): SecretRef {
  const ref = parseSecretRef(text, base);
  if ("no" in ref) throw new Error(ref.no);
  return ref;
}
