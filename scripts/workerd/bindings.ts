/** What steno.toml adds to each service of wrangler.toml: its settings, its secrets and the servers it may reach. */
import * as v from "valibot";
import type { Settings } from "#scripts/config/settings.ts";
import { parseRemote, type Remote } from "#scripts/config/values.ts";
import {
  ConsoleSettings,
  EgressSettings,
  EvaluatorSettings,
  GatewaySettings,
  RecorderSettings,
} from "#workers/contract/settings.ts";
import { type Added, addressOf, type BesidePaths, KEY_FILES, type SecretUse, transportOf } from "./added.ts";
import { recorderAdded } from "./recorder-added.ts";
import type { BindingSpec, ServiceSpec } from "./spec.ts";
import type { ServiceName } from "./wrangler.ts";

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
        connections: settings.connections.flatMap(({ name, kind, upstream, credential, program }, i) => {
          if (program) return [{ name, kind, transport: "http", base: programAt(name), upstream: PROGRAMS }];
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

/** All programs are behind one socket, told apart by path. */
const PROGRAMS = "PROGRAMS";
const programAt = (name: string): string => `http://programs/${name}`;

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

/** Disks, keys, secrets and externals: everything of a service that is not in wrangler.toml. */
export function added(service: ServiceName, settings: Settings, paths: BesidePaths): Added {
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
      return egressAdded(settings, paths);
    case "recorder":
      return recorderAdded(settings, paths);
  }
}

function egressAdded(settings: Settings, { programsSocket }: BesidePaths): Added {
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
  if (settings.connections.some(({ program }) => program)) {
    bindings.push({ name: PROGRAMS, kind: "service", service: "programs" });
    const address = `unix:${programsSocket}`;
    services.push({ kind: "external", name: "programs", address, transport: { kind: "http" } });
  }
  for (const issuer of issuersOf(settings)) for (const [name, to] of issuer.bindings) reach(name, to);
  return { bindings, services, secrets };
}
