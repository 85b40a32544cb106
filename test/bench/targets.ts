// What is compared: the upstream itself, nginx and a bare workerd that only pass on, and Steno in both topologies.
import { mkdirSync, readlinkSync, realpathSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { accepts, startChild, until } from "#test/support/servers/children.ts";
import { startNginxProxy } from "#test/support/servers/nginx-static.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { startNode } from "#test/support/steno.ts";
import { processesOf } from "./measure.ts";

export type UpstreamName = "small" | "git" | "bulk";
/** `http://host:port`, then whatever path the repositories are below. */
export type Upstreams = Readonly<Record<UpstreamName, string>>;

export interface Target<Name extends string = UpstreamName> {
  readonly name: string;
  /** Whether requests need a token. */
  readonly guarded: boolean;
  /** Where an upstream is reached through this target. */
  url(upstream: Name): string;
  /** The processes that stand between client and upstream. */
  pids(): readonly number[];
  /** What its log says last. */
  log(): string;
  stop(): Promise<void>;
}

/** Set for the workerds of a node under test. */
export interface Preload {
  readonly library: string;
  readonly variables: Readonly<Record<string, string>>;
}

const LOG_TAIL = 3000;

/** The connection that leads where `git` does, and is inspected no further than its refs. */
export const INSPECT_REFS = "git-refs";

/** Principals, each with a session of its own. */
export const PRINCIPALS = 16;

export async function startIdentity(): Promise<{ oidc: OidcServer; tokens: readonly string[] }> {
  const names = Array.from({ length: PRINCIPALS }, (_, n) => `bench-${n}`);
  const person = (name: string) => ({ groups: ["developers"], name, email: `${name}@example.test` });
  const oidc = await startOidc({ users: Object.fromEntries(names.map((name) => [name, person(name)])) });
  const tokens: string[] = [];
  for (const sub of names) tokens.push(await oidc.token({ sub, audience: "steno", expiresIn: 6 * 3600 }));
  return { oidc, tokens };
}

export function direct(upstreams: Upstreams): Target {
  return {
    name: "direct",
    guarded: false,
    url: (upstream) => upstreams[upstream],
    pids: () => [],
    log: () => "",
    stop: async () => undefined,
  };
}

export async function nginx(upstreams: Upstreams, directory: string): Promise<Target> {
  const names = Object.keys(upstreams) as UpstreamName[];
  const started = await Promise.all(
    names.map(async (name) => {
      const home = join(directory, `nginx-${name}`);
      const proxy = await startNginxProxy({ upstream: new URL(upstreams[name]).origin, directory: home });
      return [name, { proxy, home }] as const;
    }),
  );
  const proxies = new Map(started);
  return {
    name: "nginx",
    guarded: false,
    url: (upstream) => `${proxies.get(upstream)?.proxy.url}${pathOf(upstreams[upstream])}`,
    pids: () => started.flatMap(([, { home }]) => processesOf(home)),
    log: () => "",
    stop: async () => void (await Promise.all(started.map(([, { proxy }]) => proxy.stop()))),
  };
}

const WORKERD = realpathSync(createRequire(import.meta.url)("workerd").default as string);
const PASS_ON = "export default { fetch: (request, env) => env.UP.fetch(request) };";

/** One workerd, with one Worker and one socket for each upstream. */
export async function bareWorkerd<Name extends string>(
  upstreams: Readonly<Record<Name, string>>,
  directory: string,
): Promise<Target<Name>> {
  const names = Object.keys(upstreams) as Name[];
  const ports = new Map<Name, number>();
  for (const name of names) ports.set(name, await freePort());
  const services = names.flatMap((name) => [
    `(name = "${name}", worker = (compatibilityDate = "2026-11-01", modules = [(name = "w.js", esModule = ${JSON.stringify(PASS_ON)})], bindings = [(name = "UP", service = "up-${name}")]))`,
    `(name = "up-${name}", external = (address = "${new URL(upstreams[name]).host}", http = ()))`,
  ]);
  const sockets = names.map(
    (name) => `(name = "${name}", address = "127.0.0.1:${ports.get(name)}", http = (), service = "${name}")`,
  );
  const config = join(directory, "bare.capnp");
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = (\n  services = [${services.join(",\n    ")}],\n  sockets = [${sockets.join(",\n    ")}],\n);\n`,
  );
  const child = startChild(WORKERD, ["serve", config], { log: join(directory, "bare.log") });
  for (const port of ports.values()) await until(() => accepts(port), "bare workerd", [child]);
  return {
    name: "bare",
    guarded: false,
    url: (upstream) => `http://127.0.0.1:${ports.get(upstream)}${pathOf(upstreams[upstream])}`,
    pids: () => processesOf(config).filter(isWorkerd),
    log: () => child.output().slice(-LOG_TAIL),
    stop: () => child.stop(),
  };
}

export async function steno(
  topology: "single" | "split",
  upstreams: Upstreams,
  options: { readonly directory: string; readonly issuer: string; readonly preload?: Preload | undefined },
): Promise<Target> {
  const { directory, issuer, preload } = options;
  const names = Object.keys(upstreams) as UpstreamName[];
  const env = preload ? preloading(directory, preload) : {};
  const node = await startNode({
    directory,
    issuer,
    connections: [
      // The large bodies are no packs.
      ...names.map((name) => ({
        name,
        kind: "git",
        upstream: upstreams[name],
        inspect: name === "bulk" ? "refs" : "full",
      })),
      { name: INSPECT_REFS, kind: "git", upstream: upstreams.git, inspect: "refs" },
    ],
    serve: topology === "single" ? { topology } : { topology, fronts: 1 },
    env,
  });
  return {
    name: preload ? `${topology}, slow` : topology,
    guarded: true,
    url: (upstream) => `${node.gateway()}/git/${upstream}`,
    pids: () => node.workerds().filter(isWorkerd),
    log: () => node.output().slice(-LOG_TAIL),
    stop: () => node.stop(),
  };
}

/** The environment of a node whose workerds load it. */
export const preloading = (directory: string, preload: Preload): { readonly PATH: string } => ({
  PATH: `${wrapped(directory, preload)}:${process.env["PATH"]}`,
});

/**
 * A directory for the front of PATH whose `setpriv` adds the library to what it starts: `steno serve` gives workerd
 * nothing of its own environment but PATH.
 */
function wrapped(directory: string, { library, variables }: Preload): string {
  const bin = join(directory, "bin");
  mkdirSync(bin, { recursive: true });
  const all = Object.entries({ LD_PRELOAD: library, ...variables });
  const exports = all.map(([name, value]) => `export ${name}='${value}'`).join("\n");
  writeFileSync(join(bin, "setpriv"), `#!/bin/sh\n${exports}\nexec /usr/bin/setpriv "$@"\n`, { mode: 0o755 });
  return bin;
}

/** Not the shell or the launcher whose command line names it. */
export const isWorkerd = (pid: number): boolean => readlinkSync(`/proc/${pid}/exe`).endsWith("/workerd");
const pathOf = (url: string): string => new URL(url).pathname.replace(/\/$/, "");
