// Pushing with stock git: nothing between, the refs inspected while the rest streams, and all of it read before it leaves.
import { rmSync } from "node:fs";
import { type GitParts, git } from "../git.ts";
import { cpuOf, median, peakMemoryOf, type Row } from "../measure.ts";
import { INSPECT_REFS, type Target } from "../targets.ts";

type Way = { readonly name: string; readonly target: Target; readonly url: string };
type Taken = { readonly seconds: number; readonly cpu: number };

export async function measureInspection(
  targets: readonly Target[],
  parts: GitParts,
  rounds: number,
): Promise<Row[]> {
  const ways = targets.flatMap((target): Way[] => {
    const url = target.url("git");
    if (!target.guarded) return target.name === "direct" ? [{ name: target.name, target, url }] : [];
    const refs = url.replace(/git$/, INSPECT_REFS);
    return [
      { name: `${target.name}, refs`, target, url: refs },
      { name: `${target.name}, full`, target, url },
    ];
  });
  const taken = new Map<string, Taken[]>();
  const peaks = new Map<string, number>();
  for (let round = 0; round < rounds; round++)
    for (const way of ways) {
      taken.set(way.name, [...(taken.get(way.name) ?? []), await push(way, parts)]);
      const pids = way.target.pids();
      // A peak never falls: what streams is measured first.
      if (!peaks.has(way.name)) peaks.set(way.name, Math.max(0, ...pids.map(peakMemoryOf)));
    }
  const seconds = (name: string) => median((taken.get(name) ?? []).map((each) => each.seconds));
  return ways.map(({ name }) => ({
    push: name,
    seconds: seconds(name),
    "to direct": seconds(name) / seconds("direct"),
    "CPU ms": median((taken.get(name) ?? []).map(({ cpu }) => cpu)).toFixed(0),
    "peak RSS MB": peaks.get(name) ?? 0,
  }));
}

async function push({ target, url }: Way, parts: GitParts): Promise<Taken> {
  const name = "inspected.git";
  const path = await parts.server.createRepository(name);
  const pids = target.pids();
  const before = cpuOf(pids);
  const began = performance.now();
  await git(target, parts, ["-C", parts.source, "push", "-q", `${url}/${name}`, "main:refs/heads/bench"]);
  const taken = { seconds: (performance.now() - began) / 1000, cpu: (cpuOf(pids) - before) / 1000 };
  rmSync(path, { recursive: true });
  return taken;
}
