/** A node as an operator runs it: `steno serve` with a steno.toml, as a program of its own, on ports it picks itself. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "smol-toml";
import { ROOT } from "#scripts/build.ts";
import { type Program, startProgram, tryRun } from "./program.ts";

export interface DemoGateway {
  readonly url: string;
  readonly console: string;
  /** Root of the archive. */
  readonly evidence: string;
  /** The public half of the seal key as the node keeps it: an auditor would have got it by another way. */
  readonly sealPub: string;
}

export interface DemoGatewayOptions {
  readonly directory: string;
  readonly issuer: string;
  readonly upstream: string;
  /** `user:password` of the upstream; the agent never sees it. */
  readonly credential: string;
  readonly model: string;
  readonly tools: string;
}

const CLI = join(ROOT, "scripts/steno.ts");
const START_MS = 60_000;

/** Back when it is ready; throws with the end of its log when it does not come up. `started` gets what stops it. */
export async function startGateway(
  options: DemoGatewayOptions,
  started: (stop: () => Promise<void>) => void,
): Promise<DemoGateway> {
  const { directory } = options;
  const state = join(directory, "node");
  const evidence = join(directory, "evidence");
  mkdirSync(evidence, { recursive: true });
  const config = join(directory, "steno.toml");
  writeFileSync(config, stringify(configuration(options, state, evidence)));
  const program = startProgram([process.execPath, CLI, "serve", "--config", config], {
    log: join(directory, "serve.log"),
    cwd: directory,
    env: { ...process.env, DEMO_UPSTREAM: options.credential },
  });
  started(() => program.stop());
  await listening(program);
  return {
    url: address("gateway", program),
    console: address("console", program),
    evidence,
    sealPub: join(state, "keys/seal.pub"),
  };
}

const configuration = (
  { issuer, upstream, model, tools }: DemoGatewayOptions,
  state: string,
  evidence: string,
) => ({
  listen: { agents: "127.0.0.1:0", console: "127.0.0.1:0" },
  identity: { oidc: [{ issuer, audience: "steno", console_audience: "steno-console" }] },
  roles: { auditor: ["security"], approver: ["leads"], admin: ["platform"] },
  archive: { kind: "directory", path: evidence },
  serve: { state },
  policy: { dir: join(ROOT, "policies") },
  mask: { detectors: ["secrets"] },
  connections: [
    { name: "code", kind: "git", upstream, credential: "env:DEMO_UPSTREAM" },
    { name: "model", kind: "llm", upstream: model },
    { name: "tracker", kind: "mcp", upstream: tools },
    { name: "cursor", kind: "hooks" },
  ],
});

async function listening(program: Program): Promise<void> {
  for (const end = Date.now() + START_MS; !/^ready$/m.test(program.output()); await sleep(25)) {
    const said = program.output().trim().split("\n").slice(-15).join("\n");
    if (!program.running()) throw new Error(`steno serve ended:\n${said}`);
    if (Date.now() > end) throw new Error(`steno serve is not ready after ${START_MS / 1000} s:\n${said}`);
  }
}

function address(name: string, program: Program): string {
  const found = new RegExp(`^${name} (http://\\S+)$`, "m").exec(program.output())?.[1];
  if (found === undefined) throw new Error(`steno serve did not say where its ${name} is`);
  return found;
}

/** `steno verify` as an auditor runs it: offline, with a key they hold. Gives its verdict line; throws on findings. */
export async function verifyOffline(evidence: string, sealPub: string): Promise<string> {
  const { code, out, err } = await tryRun(process.execPath, [CLI, "verify", evidence, "--key", sealPub]);
  if (code !== 0) throw new Error(`steno verify ended with ${code}:\n${out}${err}`);
  return out.trim();
}
