// Reading a pack: the gateway's reader beside git index-pack, with the most memory that either had.

import { spawn } from "node:child_process";
import { copyFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { cpuOf, median, peakMemoryOf, type Row } from "../measure.ts";

const PROGRAM = new URL("../programs/read-pack.ts", import.meta.url).pathname;

type Taken = { readonly seconds: number; readonly cpu: number; readonly peak: number };

/** `repository` is one whose only pack is read. */
export async function measurePack(repository: string, directory: string, rounds: number): Promise<Row[]> {
  const packs = join(repository, "objects", "pack");
  const name = readdirSync(packs).find((each) => each.endsWith(".pack")) ?? "";
  const pack = join(directory, "read.pack");
  copyFileSync(join(packs, name), pack);
  const megabytes = statSync(pack).size / 1e6;
  const index = join(directory, "read.idx");
  const ways: readonly (readonly [string, string, readonly string[]])[] = [
    ["steno", process.execPath, [PROGRAM, pack]],
    ["git index-pack", "git", ["index-pack", "--threads=1", "-o", index, pack]],
  ];
  const taken = new Map<string, Taken[]>();
  for (let round = 0; round < rounds; round++)
    for (const [way, program, args] of ways) {
      taken.set(way, [...(taken.get(way) ?? []), await run(program, args)]);
      rmSync(index, { force: true });
    }
  rmSync(pack);
  const of = (way: string, each: keyof Taken) => median((taken.get(way) ?? []).map((one) => one[each]));
  return ways.map(([way]) => ({
    reader: way,
    "MB/s": megabytes / of(way, "seconds"),
    "MB per CPU s": megabytes / of(way, "cpu"),
    "to git": of("git index-pack", "seconds") / of(way, "seconds"),
    "peak RSS MB": of(way, "peak").toFixed(0),
  }));
}

/** A program to its end. Its times include its start; memory is looked at while it runs, and never falls. */
async function run(program: string, args: readonly string[]): Promise<Taken> {
  const began = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const pid = child.pid ?? 0;
  let peak = 0;
  let cpu = 0;
  const look = setInterval(() => {
    try {
      peak = Math.max(peak, peakMemoryOf(pid) || 0);
      cpu = Math.max(cpu, cpuOf([pid]) / 1e6);
    } catch {
      // It has just ended.
    }
  }, 10);
  const code = await new Promise<number | null>((done) => child.on("exit", done));
  clearInterval(look);
  if (code !== 0) throw new Error(`${program} ${args[0]}: ${code}`);
  return { seconds: (performance.now() - began) / 1000, cpu, peak };
}
