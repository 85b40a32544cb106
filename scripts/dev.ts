/** `npm run dev`: the node of a steno.toml as one Worker under `wrangler dev`, built again when a source changes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { directoryEndpoint } from "./archive/directory-endpoint.ts";
import { build, ROOT } from "./build.ts";
import { readFlags } from "./cli/flags.ts";
import { loadOrReport } from "./cli/report.ts";
import { failed, line, reason } from "./config/finding.ts";
import type { Settings } from "./config/settings.ts";
import { encoded, givenOf } from "./dev/given.ts";
import { startLoopback } from "./dev/loopback.ts";
import { wranglerConfig } from "./dev/wrangler-config.ts";
import { lockState } from "./serve/lock.ts";
import { type Plan, plan } from "./serve/plan.ts";
import { makeClearanceKey, socketDirectory } from "./serve/run-directory.ts";
import { readWrangler } from "./workerd/wrangler.ts";

const WRANGLER = join(ROOT, "node_modules/wrangler/bin/wrangler.js");

/** Its own keys, objects and archive, below the node's state: what is tried out never gets among a node's evidence. */
function ofDev(settings: Settings): Settings {
  const state = join(settings.serve.state, "dev");
  const { backlogBytes } = settings.archive;
  const { sealKey: _, ...evidence } = settings.evidence;
  const { keys: __, ...rest } = settings;
  return {
    ...rest,
    evidence: { ...evidence, previousOrigins: [], encryptTo: [] },
    archive: { kind: "directory", path: join(state, "archive"), retentionDays: 0, backlogBytes },
    serve: { ...settings.serve, topology: "single", fronts: 1, state },
  };
}

async function dev(args: readonly string[]): Promise<number> {
  const { values } = readFlags(args, { config: "text" });
  const given = loadOrReport(values.config);
  if (given === undefined) return 2;
  const settings = ofDev(given);
  const lock = await lockState(settings.serve.state);
  try {
    const planned = await ready(settings);
    return planned === undefined ? 2 : await run(planned);
  } finally {
    await lock.release();
  }
}

const bundleOf = ({ serve: { state } }: Settings) => join(state, "bundle");

/** The bundle, and a plan to run it, or undefined after its findings went to standard error. */
async function ready(settings: Settings): Promise<Plan | undefined> {
  const dist = join(bundleOf(settings), "dist");
  mkdirSync(dist, { recursive: true, mode: 0o700 });
  await build(undefined, dist);
  const { plan: planned, findings } = plan(
    settings,
    socketDirectory(settings.serve.state),
    process.env,
    dist,
  );
  for (const finding of findings) if (finding.level !== "ok") console.error(line(finding));
  return failed(findings) ? undefined : planned;
}

async function run(planned: Plan): Promise<number> {
  const { settings } = planned;
  const socket = planned.generated.directorySocket ?? "";
  const root = join(settings.serve.state, "archive");
  const archive = await directoryEndpoint({ root, socket });
  const loopback = await startLoopback(settings.policy.dir, socket);
  try {
    write(planned, loopback.url);
    console.log(`archive ${root} (of npm run dev alone; not WORM)`);
    console.log("the console's paths, /api/v1/…, are on the same address as the gateway");
    return await wrangler(settings);
  } finally {
    await loopback.stop();
    await archive.stop();
  }
}

/** All that Wrangler reads. */
function write({ settings, generated, generation, environments }: Plan, endpoint: string): void {
  const { state } = settings.serve;
  const workers = generated.instances.flatMap(({ services }) =>
    services.filter((service) => service.kind === "worker"),
  );
  const environment = Object.assign({}, ...environments.values()) as Record<string, string>;
  const clearance = makeClearanceKey();
  const given = givenOf(workers, { endpoint, keys: generation.keys, clearance, environment });
  const worker = readFileSync(join(ROOT, "scripts/dev/worker.ts"), "utf8");
  const rebuild = [process.execPath, join(ROOT, "scripts/build.ts"), join(bundleOf(settings), "dist")];
  const command = rebuild.map((word) => JSON.stringify(word)).join(" ");
  const put = (name: string, text: string) => writeFileSync(join(state, name), text, { mode: 0o600 });
  put("bundle/worker.js", transformSync(worker, { loader: "ts", target: "esnext" }).code);
  put(
    "wrangler.json",
    JSON.stringify(
      wranglerConfig(workers, readWrangler(join(ROOT, "wrangler.toml")), state, command),
      null,
      2,
    ),
  );
  put(".dev.vars", `STENO_DEV="${encoded(given)}"\n`);
}

/** Says nothing to anybody: no metrics, no reports, no look for a newer version, no other Worker of this machine. */
const quiet = (state: string) => ({
  DO_NOT_TRACK: "1",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_LOG_PATH: join(state, "logs"),
  WRANGLER_REGISTRY_PATH: join(state, "registry"),
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "false",
});

async function wrangler({ listen, serve: { state } }: Settings): Promise<number> {
  const { host, port } = listen.agents;
  const flags = ["--local", "--ip", host, "--port", String(port), "--persist-to", join(state, "objects")];
  const child = spawn(process.execPath, [WRANGLER, "dev", "-c", join(state, "wrangler.json"), ...flags], {
    cwd: state,
    env: { ...process.env, ...quiet(state) },
    stdio: "inherit",
  });
  // A terminal's Ctrl-C reaches Wrangler too; what is stopped here is what Wrangler needs until it has ended.
  const stop = () => void child.kill("SIGTERM");
  process.on("SIGTERM", stop).on("SIGINT", stop);
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 0;
}

process.exitCode = await dev(process.argv.slice(2)).catch((thrown: unknown) => {
  console.error(`dev: ${reason(thrown)}`);
  return 2;
});
