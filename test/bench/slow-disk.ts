// A disk whose fsync takes 5 ms longer: what traffic of others feels while sixteen sessions are recorded at full speed.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pace } from "./latency.ts";
import type { Row } from "./measure.ts";
import { load, openSessions, SMALL_PATH } from "./small.ts";
import type { Preload, Target } from "./targets.ts";

const SOURCE = new URL("programs/slow-fsync.c", import.meta.url).pathname;
export const SLOWER_US = 5000;

/** Undefined when there is no C compiler. */
export const slowFsync = (directory: string): Preload | undefined =>
  fsyncBy(directory, { SLOW_FSYNC_US: String(SLOWER_US) });

/** A disk that keeps nothing: what is left of a request when its fsyncs cost nothing. */
export const noFsync = (directory: string): Preload | undefined => fsyncBy(directory, { NO_FSYNC: "1" });

function fsyncBy(directory: string, variables: Preload["variables"]): Preload | undefined {
  const library = join(directory, "slow-fsync.so");
  const { status } = spawnSync("cc", ["-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"]);
  return status === 0 ? { library, variables } : undefined;
}

export interface Disturbed {
  readonly seconds: number;
  readonly tokens: readonly string[];
  /** Files of the tokens of those who hurry, and of the one who does not. */
  readonly hurried: string;
  readonly unhurried: string;
}

/** `unrecorded` is asked of the gateway's own event loop alone; `recorded` is a small fetch of a principal of its own. */
export async function measureDisturbed(
  targets: readonly Target[],
  { seconds, tokens, hurried, unhurried }: Disturbed,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const target of targets) {
    await openSessions(target, tokens);
    const health = new URL("/healthz", target.url("small")).href;
    for (const what of ["unrecorded", "recorded"] as const) {
      const url = what === "recorded" ? `${target.url("small")}${SMALL_PATH}` : health;
      const rate = { rate: 100, seconds: Math.max(1, seconds - 1) };
      const calm = await pace(url, rate, what === "recorded" ? unhurried : undefined);
      const loading = load(target, hurried, { connections: 16, seconds: seconds + 2 });
      // So that a failed load is reported by the await below, not as unhandled before it.
      loading.catch(() => undefined);
      const busy = await pace(url, rate, what === "recorded" ? unhurried : undefined);
      const { rps } = await loading;
      rows.push({
        target: target.name,
        traffic: what,
        "alone p50 ms": calm.p50,
        "alone p99 ms": calm.p99,
        "beside p50 ms": busy.p50,
        "beside p99 ms": busy.p99,
        "recorded rps meanwhile": rps.toFixed(0),
      });
    }
  }
  return rows;
}
