/** What the recorder gets beside its settings: the archive and its keys, witnesses, webhooks, the timestamp authority. */
import type { Settings } from "#scripts/config/settings.ts";
import type { Remote } from "#scripts/config/values.ts";
import {
  type Added,
  addressOf,
  type BesidePaths,
  KEY_FILES,
  objectsDirectory,
  transportOf,
} from "./added.ts";
import type { BindingSpec, ServiceSpec } from "./spec.ts";

export function recorderAdded(settings: Settings, paths: BesidePaths): Added {
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
function keysAdded({ keys }: Settings, { keysSocket }: BesidePaths): Added {
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

function archiveAdded({ archive, serve, evidence }: Settings, paths: BesidePaths): Added {
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
