/** A process's specification as the Cap'n Proto text that workerd reads. Nothing is decided here. */
import type {
  BindingSpec,
  Content,
  InstanceSpec,
  ServiceSpec,
  SocketSpec,
  Transport,
  WorkerSpec,
} from "./spec.ts";

/** The host name that marks Cap'n Proto connections on the sockets between our own processes. */
const RPC_HOST = "steno";

export function capnp(instance: InstanceSpec): string {
  const workers = instance.services.filter((service) => service.kind === "worker");
  return [
    `# Generated for the workerd process "${instance.name}". Do not edit: the next start overwrites it.`,
    `using Workerd = import "/workerd/workerd.capnp";`,
    "",
    "const config :Workerd.Config = (",
    "  services = [",
    ...instance.services.map((service) => `    ${serviceText(service)},`),
    "  ],",
    "  sockets = [",
    ...instance.sockets.map((socket) => `    ${socketText(socket)},`),
    "  ],",
    ");",
    ...workers.map(workerText),
    "",
  ].join("\n");
}

const TRUST = "tlsOptions = (trustBrowserCas = true)";

function serviceText(service: ServiceSpec): string {
  const name = `name = ${quote(service.name)}`;
  switch (service.kind) {
    case "worker":
      return `(${name}, worker = .${service.name})`;
    case "external":
      return `(${name}, external = (address = ${quote(service.address)}, ${transportText(service.transport)}))`;
    case "network":
      return `(${name}, network = (allow = ${listText(service.allow)}))`;
    case "disk":
      return `(${name}, disk = (path = ${quote(service.path)}, writable = ${service.writable}))`;
  }
}

function transportText(transport: Transport): string {
  switch (transport.kind) {
    case "http":
      return "http = ()";
    case "https":
      return `https = (certificateHost = ${quote(transport.certificateHost)}, ${TRUST})`;
    case "tcp":
      return "tcp = ()";
    case "rpc":
      return `http = (capnpConnectHost = ${quote(RPC_HOST)})`;
  }
}

function socketText({ name, service, entrypoint, transport }: SocketSpec): string {
  const http = transport === "rpc" ? `(capnpConnectHost = ${quote(RPC_HOST)})` : "()";
  const target = `(name = ${quote(service)}, entrypoint = ${quote(entrypoint)})`;
  return `(name = ${quote(name)}, http = ${http}, service = ${target})`;
}

function workerText(worker: WorkerSpec): string {
  const modules = worker.modules.map(
    ({ name, kind, embed }) =>
      `(name = ${quote(name)}, ${kind === "esm" ? "esModule" : "wasm"} = embed ${quote(embed)})`,
  );
  const objects = worker.namespaces.map(
    ({ className, uniqueKey }) =>
      `(className = ${quote(className)}, uniqueKey = ${quote(uniqueKey)}, enableSql = true)`,
  );
  return [
    "",
    `const ${worker.name} :Workerd.Worker = (`,
    `  modules = [\n${modules.map((text) => `    ${text},\n`).join("")}  ],`,
    `  compatibilityDate = ${quote(worker.compatibilityDate)},`,
    `  compatibilityFlags = ${listText(worker.compatibilityFlags)},`,
    `  globalOutbound = ${quote(worker.globalOutbound)},`,
    `  bindings = [\n${worker.bindings.map((binding) => `    ${bindingText(binding)},\n`).join("")}  ],`,
    ...(objects.length === 0
      ? []
      : [`  durableObjectNamespaces = [\n${objects.map((text) => `    ${text},\n`).join("")}  ],`]),
    ...(worker.storage === undefined
      ? []
      : [`  durableObjectStorage = (localDisk = ${quote(worker.storage)}),`]),
    ");",
  ].join("\n");
}

const HMAC = JSON.stringify({ name: "HMAC", hash: "SHA-256" });
const PKCS8 = {
  p256: JSON.stringify({ name: "ECDSA", namedCurve: "P-256" }),
  ed25519: JSON.stringify({ name: "Ed25519" }),
  // Behind the flag webcrypto_modern_algorithms; its PKCS#8 holds the seed and nothing else.
  "ml-dsa-44": JSON.stringify({ name: "ML-DSA-44" }),
} as const;

function bindingText(binding: BindingSpec): string {
  const name = `name = ${quote(binding.name)}`;
  switch (binding.kind) {
    case "json":
      return `(${name}, json = ${quote(JSON.stringify(binding.value))})`;
    case "text":
      return `(${name}, text = ${contentText(binding.content)})`;
    case "environment":
      return `(${name}, fromEnvironment = ${quote(binding.variable)})`;
    case "hmac":
      return `(${name}, cryptoKey = (raw = embed ${quote(binding.embed)}, ${keyText(HMAC, binding.usages)}))`;
    case "p256":
    case "ed25519":
    case "ml-dsa-44":
      return `(${name}, cryptoKey = (pkcs8 = embed ${quote(binding.embed)}, ${keyText(PKCS8[binding.kind], binding.usages)}))`;
    case "service":
      return binding.entrypoint === undefined
        ? `(${name}, service = ${quote(binding.service)})`
        : `(${name}, service = (name = ${quote(binding.service)}, entrypoint = ${quote(binding.entrypoint)}))`;
    case "namespace":
      return `(${name}, durableObjectNamespace = ${quote(binding.className)})`;
  }
}

const keyText = (algorithm: string, usages: readonly string[]): string =>
  `algorithm = (json = ${quote(algorithm)}), extractable = false, usages = [${usages.join(", ")}]`;

const contentText = (content: Content): string =>
  "embed" in content ? `embed ${quote(content.embed)}` : quote(content.literal);

const listText = (texts: readonly string[]): string => `[${texts.map(quote).join(", ")}]`;

/** A Cap'n Proto string literal. Control characters are escaped byte by byte; the rest is UTF-8 as it is. */
export function quote(text: string): string {
  const escaped = Array.from(text, (letter) => {
    if (letter === "\\" || letter === '"') return `\\${letter}`;
    if (letter >= " " && letter !== "\u007f") return letter;
    return `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped.join("")}"`;
}
