/** `steno serve`: from a configuration to a running node, until a signal. */
import type { ConnectionKind } from "#durable/format/connection.ts";
import { DIST } from "#scripts/build.ts";
import { readFlags } from "#scripts/cli/flags.ts";
import { loadOrReport } from "#scripts/cli/report.ts";
import { failed, line, reason } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { showAddress } from "#scripts/config/values.ts";
import { validatePolicies } from "#scripts/policy/validate.ts";
import { capnp } from "#scripts/workerd/capnp.ts";
import { type Lock, LockFault, lockState } from "./lock.ts";
import { type Plan, plan, preview } from "./plan.ts";
import { runDirectory, socketDirectory } from "./run-directory.ts";
import { ListenFault } from "./socket.ts";
import { type Running, start } from "./supervisor.ts";

/** `dist` holds the bundle. */
export async function serve(args: string[], dist = DIST): Promise<number> {
  const { values } = readFlags(args, { config: "text", "print-config": "flag" });
  const settings = loadOrReport(values.config);
  if (settings === undefined) return 2;
  if (values["print-config"] === true) {
    const { instances } = preview(settings, `${runDirectory(settings.serve.state)}/sockets`, dist);
    console.log(instances.map(capnp).join("\n"));
    return 0;
  }
  let lock: Lock | undefined;
  try {
    lock = await lockState(settings.serve.state);
    const sockets = socketDirectory(settings.serve.state);
    const first = await ready(settings, sockets, dist);
    if (first === undefined) return 2;
    const running = await start(first);
    announce(running, settings);
    const again = () => reload(running, values.config, (next) => ready(next, sockets, dist));
    const lost = await untilStopped(running, again);
    await running.stop();
    if (lost === undefined) return 0;
    console.error(`error: serve: ${lost}`);
    return 1;
  } catch (thrown) {
    if (!(thrown instanceof LockFault || thrown instanceof ListenFault)) throw thrown;
    console.error(`error: serve: ${reason(thrown)}`);
    return 2;
  } finally {
    await lock?.release();
  }
}

/** A plan that may run, or undefined after its findings went to standard error. */
async function ready(settings: Settings, sockets: string, dist: string): Promise<Plan | undefined> {
  const { plan: planned, findings } = plan(settings, sockets, process.env, dist);
  const policies = await validatePolicies(settings.policy.dir);
  const wrong = "errors" in policies ? policies.errors : [];
  for (const finding of findings) if (finding.level !== "ok") console.error(line(finding));
  for (const { file, message } of wrong) {
    console.error(`error: policy ${file === "" ? settings.policy.dir : file}: ${message}`);
  }
  return failed(findings) || wrong.length > 0 ? undefined : planned;
}

type Prepare = (settings: Settings) => Promise<Plan | undefined>;

async function reload(running: Running, config: string | undefined, prepare: Prepare): Promise<void> {
  try {
    const settings = loadOrReport(config);
    const next = settings === undefined ? undefined : await prepare(settings);
    if (next === undefined) return console.error("error: reload: the running configuration stays");
    await running.reload(next);
    console.log("reloaded");
  } catch (thrown) {
    console.error(`error: reload: ${reason(thrown)}`);
  }
}

/** Resolves on SIGTERM or SIGINT, or with a reason when the node is lost. SIGHUPs are taken one after another. */
async function untilStopped(running: Running, onReload: () => Promise<void>): Promise<string | undefined> {
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  let reloading = Promise.resolve();
  const stop = () => resolve(undefined);
  const again = () => {
    reloading = reloading.then(onReload);
  };
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", again);
  try {
    return await Promise.race([stopped, running.lost]);
  } finally {
    await reloading;
    process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", again);
  }
}

function announce(running: Running, settings: Settings): void {
  const gateway = `http://${showAddress(running.agents)}`;
  console.log(`gateway ${gateway}`);
  console.log(`console http://${showAddress(running.console)}`);
  if (settings.file === undefined) {
    console.log(
      "no steno.toml: embedded defaults; nothing is reachable until issuers and connections are configured",
    );
  } else if (settings.issuers.length === 0)
    console.log("no issuers are configured: every request is refused");
  if (settings.archive.kind === "directory")
    console.log(`archive ${settings.archive.path} (a directory: not WORM)`);
  for (const { name, kind } of settings.connections) console.log(reached(kind, name, gateway));
  if (settings.connections.length > 0) {
    console.log(`point Cursor and its git at it: npx steno setup cursor --gateway ${gateway}`);
  }
  console.log("ready");
}

/** How an agent comes to a connection. */
function reached(kind: ConnectionKind, name: string, gateway: string): string {
  const base = `${gateway}/${kind}/${name}`;
  switch (kind) {
    case "git":
      return `git clone with a token: git -c http.${gateway}/.extraHeader="Authorization: Bearer $STENO_TOKEN" clone ${base}/<repository>`;
    case "http":
      return `http ${name}: ${base}/… with "Authorization: Bearer $STENO_TOKEN"`;
    case "mcp":
      return `mcp ${name}: ${base} with sign-in, ${gateway}/mcp-token/${name} with "Authorization: Bearer $STENO_TOKEN"`;
    case "llm":
      return `llm ${name}: base URL ${base}/v1 for OpenAI's clients, ${base} for Anthropic's and Gemini's; the API key is $STENO_TOKEN`;
    case "hooks":
      return `hooks of ${name}: npx steno hook ${name} <event>, which posts to ${base}`;
  }
}
