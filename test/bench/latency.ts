// What a gateway adds to an unhurried request: one connection, a fixed low rate.
import { run } from "#test/support/servers/children.ts";
import { median, type Row } from "./measure.ts";
import { SMALL_PATH } from "./small.ts";
import type { Target } from "./targets.ts";

const PROGRAM = new URL("programs/pace.ts", import.meta.url).pathname;

export interface Pace {
  readonly rate: number;
  readonly seconds: number;
}

/** Milliseconds. */
export interface Taken {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Asks at a fixed rate; with tokens by each of their principals in turn. */
export async function pace(url: string, { rate, seconds }: Pace, tokens?: string): Promise<Taken> {
  const args = [PROGRAM, url, String(rate), String(seconds), ...(tokens === undefined ? [] : [tokens])];
  return JSON.parse(await run(process.execPath, args, { timeoutMs: (seconds + 60) * 1000 })) as Taken;
}

export async function measureLatency(
  targets: readonly Target[],
  tokens: string,
  options: Pace & { readonly rounds: number },
): Promise<Row[]> {
  const taken = new Map<string, Taken[]>();
  for (let round = 0; round < options.rounds; round++)
    for (const target of targets) {
      const url = `${target.url("small")}${SMALL_PATH}`;
      const got = await pace(url, options, target.guarded ? tokens : undefined);
      taken.set(target.name, [...(taken.get(target.name) ?? []), got]);
    }
  const of = (name: string, which: keyof Taken) => median((taken.get(name) ?? []).map((each) => each[which]));
  return targets.map(({ name }) => ({
    target: name,
    "p50 ms": of(name, "p50"),
    "p99 ms": of(name, "p99"),
    "max ms": of(name, "max"),
    "p50 added to bare": of(name, "p50") - of("bare", "p50"),
    "p99 added to bare": of(name, "p99") - of("bare", "p99"),
  }));
}
