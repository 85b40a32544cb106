/** What steno.toml adds to each service of wrangler.toml: its settings, its secrets and the servers it may reach. */
import * as v from "valibot";
import type { SecretRef } from "#scripts/config/secret.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { parseRemote, type Remote } from "#scripts/config/values.ts";
import {
  ConsoleSettings,
  EgressSettings,
  EvaluatorSettings,
  GatewaySettings,
  RecorderSettings,
} from "#workers/contract/settings.ts";
import type { BindingSpec, ServiceSpec, Transport } from "./spec.ts";
import type { ServiceName } from "./wrangler.ts";

/** A secret, the variable of workerd's environment that carries it, and what to call it in findings. */
export type SecretUse = { readonly variable: string; readonly at: string; readonly ref: SecretRef };

export type Added = {
  readonly bindings: readonly BindingSpec[];
  /** Externals and disks that only this service is bound to. */
  readonly services: readonly ServiceSpec[];
  readonly secrets: readonly SecretUse[];
};

/** Where the generator finds what it embeds, relative to the configuration's directory. */
export const KEY_FILES = {
  clearance: "keys/clearance.key",
  pseudonym: "keys/pseudonym.key",
  sealKey: "keys/seal.pem",
  sealPub: "keys/seal.pub",
  logKey: "keys/log.pem",
  logPub: "keys/log.pub",
  logPqKey: "keys/log-pq.pem",
  logPqPub: "keys/log-pq.pub",
  previousLogKey: "keys/previous-log.pem",
  previousLogPub: "keys/previous-log.pub",
  previousLogPqKey: "keys/previous-log-pq.pem",
  previousLogPqPub: "keys/previous-log-pq.pub",
} as const;

export type Digests = { readonly build: string; readonly config: string };

export function settingsOf(service: ServiceName, settings: Settings, digests: Digests): unknown {
  const issuers = settings.issuers.map(({ issuer, audience, consoleAudience, groupsClaim, algorithms }) => ({
    issuer,
    audience,
    consoleAudience,
    groupsClaim,
    algorithms,
  }));
  const { stallSeconds, streamSeconds } = settings.serve;
  switch (service) {
    case "gateway": {
      const connections = settings.connections.map(
        ({ name, kind, bodies, inspect, mask, prefix, upstream }) => ({
          name,
          kind,
          bodies,
          inspect,
          mask: [...mask],
          ...(prefix !== undefined && { prefix }),
          ...(upstream && { host: upstream.host }),
        }),
      );
      const remotes = settings.connections.flatMap(({ name, kind, upstream }) =>
        kind === "git" && upstream ? [[name, upstream.base]] : [],
      );
      return v.parse(GatewaySettings, {
        connections,
        ...(remotes.length > 0 && { remotes: Object.fromEntries(remotes) }),
        issuers,
        stallSeconds,
        streamSeconds,
        holdSeconds: settings.approvals.holdSeconds,
        ...(settings.approvals.url !== undefined && { approvalsUrl: settings.approvals.url }),
        mask: settings.mask,
      });
    }
    case "evaluator":
      return v.parse(EvaluatorSettings, { pollSeconds: settings.policy.pollSeconds });
    case "egress":
      return v.parse(EgressSettings, {
        connections: settings.connections.flatMap(({ name, kind, upstream, credential }, i) => {
          if (!upstream) return [];
          const transport = upstream.scheme === "git" ? "git-daemon" : "http";
          const secret = credential && { credential: credentialOf(credential, `CREDENTIAL_${i}`) };
          return [{ name, kind, transport, base: upstream.base, upstream: `UPSTREAM_${i}`, ...secret }];
        }),
        issuers: issuersOf(settings).map(({ bindings: _, ...issuer }) => issuer),
        stallSeconds,
        ...(settings.presidio && {
          presidio: {
            ...settings.presidio,
            url: settings.presidio.url.base,
            entities: [...settings.presidio.entities],
          },
        }),
      });
    case "recorder": {
      const { evidence, session } = settings;
      const { backlogBytes } = settings.archive;
      const archive = archiveOf(settings);
      return v.parse(RecorderSettings, {
        archive,
        encryptTo: evidence.encryptTo,
        ...keysOf(settings),
        ...session,
        approvalSeconds: settings.approvals.approvalSeconds,
        breakGlass: [...settings.approvals.breakGlass],
        webhooks: settings.approvals.webhooks.map(({ url, shape, secret }, i) => ({
          ...{ url: url.base, shape, binding: `WEBHOOK_${i}` },
          ...(secret && { secret: `WEBHOOK_SECRET_${i}` }),
        })),
        ...(settings.approvals.url !== undefined && { approvalsUrl: settings.approvals.url }),
        backlogBytes,
        budgets: settings.budgets,
        origin: evidence.origin,
        previousOrigins: [...evidence.previousOrigins],
        witnesses: evidence.witnesses.map(({ vkey, url }, i) => ({
          vkey,
          url: url.base,
          binding: `WITNESS_${i}`,
        })),
        quorum: evidence.quorum,
        ...(evidence.tsa && {
          tsa: {
            url: evidence.tsa.url.base,
            ...(evidence.tsa.chain !== undefined && { chain: evidence.tsa.chain }),
          },
        }),
        ...digests,
      });
    }
    case "console":
      return v.parse(ConsoleSettings, {
        issuers,
        roles: settings.roles,
        loginSeconds: settings.approvals.loginSeconds,
        standingSeconds: settings.approvals.standingSeconds,
      });
  }
}

function credentialOf(
  { scheme, header }: NonNullable<Settings["connections"][number]["credential"]>,
  binding: string,
): NonNullable<EgressSettings["connections"][number]["credential"]> {
  return { binding, scheme, ...(header !== undefined && { header }) };
}

function archiveOf({ archive }: Settings): RecorderSettings["archive"] {
  const { kind, retentionDays } = archive;
  if (kind === "directory") return { kind, retentionDays };
  return {
    kind,
    endpoint: archive.endpoint.base,
    bucket: archive.bucket,
    region: archive.region,
    prefix: archive.prefix,
    retentionDays,
  };
}

function keysOf({ keys }: Settings): Pick<RecorderSettings, "keys"> {
  if (keys === undefined) return {};
  if (keys.kind === "directory") return { keys: { kind: "directory" } };
  const { kind, endpoint, bucket, region, prefix } = keys;
  return { keys: { kind, endpoint: endpoint.base, bucket, region, prefix } };
}

type EgressIssuer = EgressSettings["issuers"][number] & {
  readonly bindings: readonly (readonly [string, Remote])[];
};

function issuersOf({ issuers }: Settings): EgressIssuer[] {
  return issuers.map(({ issuer, jwksUri }, i) => {
    const binding = `ISSUER_${i}`;
    const home = remote(issuer);
    if (jwksUri === undefined) return { issuer, binding, bindings: [[binding, home]] };
    const keys = remote(jwksUri);
    if (keys.host === home.host && keys.port === home.port && keys.scheme === home.scheme) {
      return { issuer, jwksUri, binding, bindings: [[binding, home]] };
    }
    const jwksBinding = `${binding}_JWKS`;
    return {
      issuer,
      jwksUri,
      binding,
      jwksBinding,
      bindings: [
        [binding, home],
        [jwksBinding, keys],
      ],
    };
  });
}

function remote(url: string): Remote {
  const parsed = parseRemote(url, ["http", "https"]);
  if (typeof parsed === "string") throw new Error(`${url} ${parsed}`);
  return parsed;
}

export type ArchivePaths = { readonly directorySocket: string; readonly keysSocket: string };

/** Disks, keys, secrets and externals: everything of a service that is not in wrangler.toml. */
export function added(service: ServiceName, settings: Settings, paths: ArchivePaths): Added {
  switch (service) {
    case "gateway":
    case "console":
      return { bindings: [], services: [], secrets: [] };
    case "evaluator":
      return {
        bindings: [{ name: "POLICIES", kind: "service", service: "policies" }],
        services: [{ kind: "disk", name: "policies", path: settings.policy.dir, writable: false }],
        secrets: [],
      };
    case "egress":
      return egressAdded(settings);
    case "recorder":
      return recorderAdded(settings, paths);
  }
}

function egressAdded(settings: Settings): Added {
  const bindings: BindingSpec[] = [
    { name: "CLEARANCE_KEY", kind: "hmac", embed: KEY_FILES.clearance, usages: ["verify"] },
  ];
  const services: ServiceSpec[] = [];
  const secrets: SecretUse[] = [];
  const reach = (name: string, to: Remote) => {
    const service = name.toLowerCase().replaceAll("_", "-");
    bindings.push({ name, kind: "service", service });
    services.push({ kind: "external", name: service, address: addressOf(to), transport: transportOf(to) });
  };
  for (const [i, { name, upstream, credential }] of settings.connections.entries()) {
    if (upstream) reach(`UPSTREAM_${i}`, upstream);
    if (credential === undefined) continue;
    const variable = `STENO_CREDENTIAL_${i}`;
    bindings.push({ name: `CREDENTIAL_${i}`, kind: "environment", variable });
    secrets.push({ variable, at: `credential of ${name}`, ref: credential.secret });
  }
  if (settings.presidio) reach("PRESIDIO", settings.presidio.url);
  for (const issuer of issuersOf(settings)) for (const [name, to] of issuer.bindings) reach(name, to);
  return { bindings, services, secrets };
}

function recorderAdded(settings: Settings, paths: ArchivePaths): Added {
  const store = archiveAdded(settings, paths);
  const keys = keysAdded(settings, paths);
  const webhooks = webhooksAdded(settings);
  return {
    bindings: [...store.bindings, ...keys.bindings, ...webhooks.bindings],
    services: [...store.services, ...keys.services, ...webhooks.services],
    secrets: [...store.secrets, ...keys.secrets, ...webhooks.secrets],
  };
}

function webhooksAdded({ approvals: { webhooks } }: Settings): Added {
  const signed = webhooks.flatMap(({ secret }, i) => (secret ? [{ i, secret }] : []));
  return {
    bindings: [
      ...webhooks.map(
        (_, i): BindingSpec => ({ name: `WEBHOOK_${i}`, kind: "service", service: `webhook-${i}` }),
      ),
      ...signed.map(
        ({ i }): BindingSpec => ({
          name: `WEBHOOK_SECRET_${i}`,
          kind: "environment",
          variable: `STENO_WEBHOOK_SECRET_${i}`,
        }),
      ),
    ],
    services: webhooks.map(({ url }, i) => ({
      kind: "external",
      name: `webhook-${i}`,
      address: addressOf(url),
      transport: transportOf(url),
    })),
    secrets: signed.map(({ i, secret }) => ({
      variable: `STENO_WEBHOOK_SECRET_${i}`,
      at: `secret of webhook ${i + 1}`,
      ref: secret,
    })),
  };
}

/** A bucket of session keys is at the archive's endpoint, so the recorder's network reaches it already. */
function keysAdded({ keys }: Settings, { keysSocket }: ArchivePaths): Added {
  if (keys === undefined) return { bindings: [], services: [], secrets: [] };
  if (keys.kind === "directory") {
    const address = `unix:${keysSocket}`;
    return {
      bindings: [{ name: "KEYS", kind: "service", service: "keys" }],
      services: [{ kind: "external", name: "keys", address, transport: { kind: "http" } }],
      secrets: [],
    };
  }
  const own = [
    ["KEYS_ACCESS_KEY", "archive.keys_access_key", keys.accessKey],
    ["KEYS_SECRET_KEY", "archive.keys_secret_key", keys.secretKey],
  ] as const;
  return {
    bindings: own.map(([name]) => ({ name, kind: "environment", variable: `STENO_${name}` })),
    services: [],
    secrets: own.map(([name, at, ref]) => ({ variable: `STENO_${name}`, at, ref })),
  };
}

/** The log before may still have to end. */
const PREVIOUS_LOG: readonly BindingSpec[] = [
  { name: "PREVIOUS_LOG_KEY", kind: "ed25519", embed: KEY_FILES.previousLogKey, usages: ["sign"] },
  { name: "PREVIOUS_LOG_PUB", kind: "text", content: { embed: KEY_FILES.previousLogPub } },
  { name: "PREVIOUS_LOG_PQ_KEY", kind: "ml-dsa-44", embed: KEY_FILES.previousLogPqKey, usages: ["sign"] },
  { name: "PREVIOUS_LOG_PQ_PUB", kind: "text", content: { embed: KEY_FILES.previousLogPqPub } },
];

function archiveAdded({ archive, serve, evidence }: Settings, paths: ArchivePaths): Added {
  const bindings: BindingSpec[] = [
    { name: "SEAL_KEY", kind: "p256", embed: KEY_FILES.sealKey, usages: ["sign"] },
    { name: "SEAL_PUB", kind: "text", content: { embed: KEY_FILES.sealPub } },
    { name: "LOG_KEY", kind: "ed25519", embed: KEY_FILES.logKey, usages: ["sign"] },
    { name: "LOG_PUB", kind: "text", content: { embed: KEY_FILES.logPub } },
    { name: "LOG_PQ_KEY", kind: "ml-dsa-44", embed: KEY_FILES.logPqKey, usages: ["sign"] },
    { name: "LOG_PQ_PUB", kind: "text", content: { embed: KEY_FILES.logPqPub } },
    ...(evidence.previousOrigins.length > 0 ? PREVIOUS_LOG : []),
    { name: "CLEARANCE_KEY", kind: "hmac", embed: KEY_FILES.clearance, usages: ["sign", "verify"] },
    { name: "PSEUDONYM_KEY", kind: "hmac", embed: KEY_FILES.pseudonym, usages: ["sign"] },
  ];
  const objects: ServiceSpec = {
    kind: "disk",
    name: "objects",
    path: objectsDirectory(serve.state),
    writable: true,
  };
  const witnesses = evidence.witnesses.map(({ url }, i): ServiceSpec => {
    bindings.push({ name: `WITNESS_${i}`, kind: "service", service: `witness-${i}` });
    return { kind: "external", name: `witness-${i}`, address: addressOf(url), transport: transportOf(url) };
  });
  const tsa = evidence.tsa === undefined ? [] : [tsaService(evidence.tsa.url)];
  if (tsa.length > 0) bindings.push({ name: "TSA", kind: "service", service: "tsa" });
  if (archive.kind === "directory") {
    const address = `unix:${paths.directorySocket}`;
    return {
      bindings,
      services: [
        objects,
        ...witnesses,
        ...tsa,
        { kind: "external", name: "archive", address, transport: { kind: "http" } },
      ],
      secrets: [],
    };
  }
  const keys = [
    ["ARCHIVE_ACCESS_KEY", archive.accessKey],
    ["ARCHIVE_SECRET_KEY", archive.secretKey],
  ] as const;
  for (const [name] of keys) bindings.push({ name, kind: "environment", variable: `STENO_${name}` });
  const { endpoint } = archive;
  return {
    bindings,
    services: [
      objects,
      ...witnesses,
      ...tsa,
      { kind: "external", name: "archive", address: addressOf(endpoint), transport: transportOf(endpoint) },
    ],
    secrets: keys.map(([name, ref]) => ({
      variable: `STENO_${name}`,
      at: `archive.${name.slice(8).toLowerCase()}`,
      ref,
    })),
  };
}

const tsaService = (url: Remote): ServiceSpec => ({
  kind: "external",
  name: "tsa",
  address: addressOf(url),
  transport: transportOf(url),
});

export const objectsDirectory = (state: string): string => `${state}/objects`;

const addressOf = ({ host, port }: Remote): string => `${host}:${port}`;

function transportOf({ scheme, host }: Remote): Transport {
  switch (scheme) {
    case "http":
      return { kind: "http" };
    case "https":
      return { kind: "https", certificateHost: host };
    case "git":
      return { kind: "tcp" };
  }
}
