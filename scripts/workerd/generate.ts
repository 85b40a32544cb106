/** wrangler.toml and steno.toml joined into what each workerd process of the node runs (ARCHITECTURE §3, §12). */
import type { Settings } from "#scripts/config/settings.ts";
import type { BesidePaths, SecretUse } from "./added.ts";
import { added, type Digests, settingsOf } from "./bindings.ts";
import type { BindingSpec, InstanceSpec, ModuleSpec, ServiceSpec, SocketSpec, WorkerSpec } from "./spec.ts";
import { SERVICES, type ServiceName, sectionOf, type Wrangler } from "./wrangler.ts";

export type Paths = {
  /** Absolute directory of the unix sockets between our own processes, mode 0700. */
  readonly sockets: string;
};

export type Generated = {
  /** The recorder's process first: the order to start in. */
  readonly instances: readonly InstanceSpec[];
  /** By process, the secrets its environment must carry. */
  readonly secrets: ReadonlyMap<string, readonly SecretUse[]>;
  /** Where the directory archive is served, when that is the archive. */
  readonly directorySocket?: string;
  /** Where the directory of session keys is served, when they are in one. */
  readonly keysSocket?: string;
  /** Where the programs are served that are MCP servers. */
  readonly programsSocket?: string;
};

/** Never change one: the objects of a class are found by it, and with another key they are lost. */
export const UNIQUE_KEYS: Readonly<Record<string, string>> = {
  SessionObject: "steno-session",
  JournalObject: "steno-journal",
  LedgerObject: "steno-ledger",
  DirectoryObject: "steno-directory",
  BudgetObject: "steno-budget",
  ApprovalObject: "steno-approval",
};

/** The network of services that have none. */
const NOWHERE = "nowhere";

/** What listens: agents and auditors on sockets of their own. */
const LISTENERS = {
  agents: { service: "gateway", entrypoint: "Gateway" },
  console: { service: "console", entrypoint: "Console" },
} as const;

const FRONT: readonly ServiceName[] = ["gateway", "evaluator", "egress", "console"];

export function generate(
  wrangler: Wrangler,
  settings: Settings,
  modules: readonly ModuleSpec[],
  digests: Digests,
  paths: Paths,
): Generated {
  const served = {
    directorySocket: `${paths.sockets}/archive.sock`,
    keysSocket: `${paths.sockets}/keys.sock`,
    programsSocket: `${paths.sockets}/programs.sock`,
  };
  const { directorySocket, keysSocket, programsSocket } = served;
  const parts = new Map(
    SERVICES.map((name) => [name, partOf(name, wrangler, settings, modules, digests, served)] as const),
  );
  const plan =
    settings.serve.topology === "single" ? [single()] : split(wrangler, settings.serve.fronts, paths);
  const secrets = new Map<string, readonly SecretUse[]>();
  const instances = plan.map(({ name, runs, sockets, reaches }) => {
    const own = runs.map((service) => known(parts.get(service), service));
    secrets.set(
      name,
      own.flatMap((part) => part.secrets),
    );
    const workers = own.map(({ worker }) => ({
      ...worker,
      bindings: worker.bindings.map((binding) => across(binding, runs, reaches)),
    }));
    const used = new Set(
      workers.flatMap(({ bindings }) => bindings.map((b) => (b.kind === "service" ? b.service : ""))),
    );
    const services: ServiceSpec[] = [...workers, ...own.flatMap((part) => part.services)];
    const remotes = [...reaches.values()]
      .filter(({ name }) => used.has(name))
      .map(
        ({ name, path }): ServiceSpec => ({
          kind: "external",
          name,
          address: `unix:${path}`,
          transport: { kind: "rpc" },
        }),
      );
    services.push(...remotes, { kind: "network", name: NOWHERE, allow: [] });
    return { name, services, sockets };
  });
  return {
    instances,
    secrets,
    ...(settings.archive.kind === "directory" ? { directorySocket } : {}),
    ...(settings.keys?.kind === "directory" ? { keysSocket } : {}),
    ...(settings.connections.some(({ program }) => program) ? { programsSocket } : {}),
  };
}

type Part = {
  readonly worker: WorkerSpec;
  readonly services: readonly ServiceSpec[];
  readonly secrets: readonly SecretUse[];
};

function partOf(
  name: ServiceName,
  wrangler: Wrangler,
  settings: Settings,
  modules: readonly ModuleSpec[],
  digests: Digests,
  served: BesidePaths,
): Part {
  const section = sectionOf(wrangler, name);
  const more = added(name, settings, served);
  const classes = section.durable_objects.bindings;
  const declared: BindingSpec[] = [
    ...Object.keys(section.vars).map(
      (variable): BindingSpec => ({
        name: variable,
        kind: "json",
        value: varOf(variable, name, settings, digests),
      }),
    ),
    ...section.services.map(
      ({ binding, service, entrypoint }): BindingSpec => ({
        name: binding,
        kind: "service",
        service,
        entrypoint,
      }),
    ),
    ...classes.map(
      ({ name: binding, class_name }): BindingSpec => ({
        name: binding,
        kind: "namespace",
        className: class_name,
      }),
    ),
  ];
  const worker: WorkerSpec = {
    kind: "worker",
    name,
    modules: modules.filter(({ kind }) => kind === "esm" || name === "evaluator"),
    compatibilityDate: wrangler.compatibility_date,
    compatibilityFlags: wrangler.compatibility_flags,
    bindings: [...declared, ...more.bindings],
    globalOutbound: name === "recorder" ? "archive" : NOWHERE,
    namespaces: classes.map(({ class_name }) => ({
      className: class_name,
      uniqueKey: known(UNIQUE_KEYS[class_name], class_name),
    })),
    ...(classes.length === 0 ? {} : { storage: "objects" }),
  };
  return { worker, services: more.services, secrets: more.secrets };
}

function varOf(variable: string, service: ServiceName, settings: Settings, digests: Digests): unknown {
  if (variable !== `${service.toUpperCase()}_SETTINGS`) {
    throw new Error(`wrangler.toml: [env.${service}] declares ${variable}, which steno.toml does not know`);
  }
  return settingsOf(service, settings, digests);
}

/** An entrypoint of another process: the external's name and the socket where it is served. */
type Reach = { readonly name: string; readonly path: string };

type Plan = {
  readonly name: string;
  readonly runs: readonly ServiceName[];
  readonly sockets: readonly SocketSpec[];
  /** By `service#entrypoint`. */
  readonly reaches: ReadonlyMap<string, Reach>;
};

const listener = (kind: "agents" | "console"): SocketSpec => ({
  name: kind,
  listen: { kind },
  ...LISTENERS[kind],
  transport: "http",
});

const single = (): Plan => ({
  name: "single",
  runs: SERVICES,
  sockets: [listener("agents"), listener("console")],
  reaches: new Map(),
});

function split(wrangler: Wrangler, fronts: number, { sockets }: Paths): Plan[] {
  const called = FRONT.flatMap((name) => sectionOf(wrangler, name).services).filter(
    ({ service }) => service === "recorder",
  );
  const entrypoints = [...new Set(called.map(({ entrypoint }) => entrypoint))];
  const reaches = new Map(
    entrypoints.map((entrypoint): [string, Reach] => {
      const name = `recorder-${entrypoint.toLowerCase()}`;
      return [`recorder#${entrypoint}`, { name, path: `${sockets}/${entrypoint.toLowerCase()}.sock` }];
    }),
  );
  const served = entrypoints.map((entrypoint): SocketSpec => {
    const { name, path } = known(reaches.get(`recorder#${entrypoint}`), entrypoint);
    return { name, listen: { kind: "unix", path }, service: "recorder", entrypoint, transport: "rpc" };
  });
  return [
    { name: "recorder", runs: ["recorder"], sockets: served, reaches: new Map() },
    ...Array.from({ length: fronts }, (_, i) => ({
      name: `front-${i}`,
      runs: i === 0 ? FRONT : FRONT.filter((service) => service !== "console"),
      sockets: i === 0 ? [listener("agents"), listener("console")] : [listener("agents")],
      reaches,
    })),
  ];
}

/** A binding to a service that runs elsewhere becomes one to the external that leads there. */
function across(
  binding: BindingSpec,
  runs: readonly string[],
  reaches: ReadonlyMap<string, Reach>,
): BindingSpec {
  if (binding.kind !== "service" || binding.entrypoint === undefined || runs.includes(binding.service))
    return binding;
  const reach = known(reaches.get(`${binding.service}#${binding.entrypoint}`), binding.name);
  return { name: binding.name, kind: "service", service: reach.name };
}

function known<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`the generator does not know ${name}`);
  return value;
}
