// Small requests at full speed: what a reference advertisement costs through each target.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "#test/support/servers/children.ts";
import { cpuOf, median, type Row } from "./measure.ts";
import type { Target } from "./targets.ts";

export const SMALL_PATH = "/repo.git/info/refs?service=git-upload-pack";
const CONNECTIONS = [1, 16, 32] as const;
/** A session is one of a principal and a client; the script says the same. */
export const AGENT = "git/2.39.5";
const SCRIPT = new URL("programs/requests.lua", import.meta.url).pathname;

export interface Load {
  readonly connections: number;
  readonly seconds: number;
}

export interface Run {
  readonly rps: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU a request took in each process of the target. */
  readonly cpu: readonly number[];
}

export function tokenFile(directory: string, name: string, tokens: readonly string[]): string {
  const file = join(directory, name);
  writeFileSync(file, `${tokens.join("\n")}\n`, { mode: 0o600 });
  return file;
}

/** One request of each principal: opening a session is not what is measured. Returns how long each took, ms. */
export async function openSessions(target: Target, tokens: readonly string[]): Promise<number[]> {
  const took: number[] = [];
  for (const token of target.guarded ? tokens : []) {
    const began = performance.now();
    const headers = { authorization: `Bearer ${token}`, "user-agent": AGENT };
    const response = await fetch(`${target.url("small")}${SMALL_PATH}`, { headers });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${target.name} answers ${response.status}: ${text}`);
    took.push(performance.now() - began);
  }
  return took;
}

/** One run of wrk. Throws when a single request failed: errors are fast, and would look like speed. */
export async function load(target: Target, file: string, { connections, seconds }: Load): Promise<Run> {
  const url = `${target.url("small")}${SMALL_PATH}`;
  const pids = target.pids();
  const before = pids.map((pid) => cpuOf([pid]));
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "-s", SCRIPT, url, "--"];
  const out = await run("wrk", target.guarded ? [...args, file] : args, {
    timeoutMs: (seconds + 30) * 1000,
  });
  const after = pids.map((pid) => cpuOf([pid]));
  const line = out.split("\n").find((each) => each.startsWith("{")) ?? "{}";
  const result = JSON.parse(line) as Record<"requests" | "seconds" | "p50" | "p99" | "errors", number>;
  if (result.requests === 0 || result.errors !== 0) throw new Error(`${target.name}: ${out}`);
  return {
    rps: result.requests / result.seconds,
    p50: result.p50,
    p99: result.p99,
    cpu: after.map((used, i) => (used - (before[i] ?? 0)) / result.requests),
  };
}

/** Sessions that nobody asked for ten seconds were put to rest meanwhile: they are woken before a target's turn. */
export async function measureSmall(
  targets: readonly Target[],
  { tokens, file }: { readonly tokens: readonly string[]; readonly file: string },
  { seconds, rounds }: { readonly seconds: number; readonly rounds: number },
): Promise<Row[]> {
  const runs = new Map<string, Run[]>();
  for (const target of targets) await load(target, file, { connections: 16, seconds: Math.min(seconds, 2) });
  for (let round = 0; round < rounds; round++)
    for (const connections of CONNECTIONS)
      for (const target of targets) {
        const key = `${target.name} ${connections}`;
        await openSessions(target, tokens);
        const got = await load(target, file, { connections, seconds });
        runs.set(key, [...(runs.get(key) ?? []), got]);
      }
  return CONNECTIONS.flatMap((connections) =>
    targets.map((target) =>
      row(target.name, connections, (name) => runs.get(`${name} ${connections}`) ?? []),
    ),
  );
}

function row(name: string, connections: number, runs: (name: string) => readonly Run[]): Row {
  const own = runs(name);
  const rps = median(own.map((each) => each.rps));
  const bare = median(runs("bare").map((each) => each.rps));
  const total = own.map(({ cpu }) => cpu.reduce((sum, each) => sum + each, 0));
  const bareCpu = median(runs("bare").map(({ cpu }) => cpu.reduce((sum, each) => sum + each, 0)));
  const cpu = own[0]?.cpu.map((_, i) => median(own.map((each) => each.cpu[i] ?? 0)).toFixed(0)) ?? [];
  return {
    target: name,
    connections: String(connections),
    rps: rps.toFixed(0),
    "rps to bare": rps / bare,
    "p50 ms": median(own.map((each) => each.p50)),
    "p99 ms": median(own.map((each) => each.p99)),
    "CPU µs": median(total).toFixed(0),
    "CPU to bare": median(total) / bareCpu,
    "by process": cpu.length > 1 && name !== "nginx" ? cpu.join(" + ") : "",
  };
}
