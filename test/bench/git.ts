// Stock git: a clone of a large repository, and a push of all of it to an empty one.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "#test/support/servers/children.ts";
import type { GitHttpServer } from "#test/support/servers/git-http.ts";
import { generateRepository, type RepositorySize } from "#test/support/servers/repository.ts";
import { cpuOf, median, type Row } from "./measure.ts";
import type { Target } from "./targets.ts";

/** A generated repository, kept for the next run: it has the same commits every time. */
export async function cachedRepository(size: RepositorySize): Promise<string> {
  const path = join(tmpdir(), `steno-bench-repository-${size.megabytes}-${size.commits}.git`);
  if (existsSync(path)) return path;
  const making = `${path}.${process.pid}`;
  await generateRepository(making, size);
  await run("git", ["-C", making, "repack", "-adq"], { timeoutMs: 600_000 });
  renameSync(making, path);
  return path;
}

export interface GitParts {
  readonly server: GitHttpServer;
  readonly source: string;
  readonly token: string;
  readonly directory: string;
}

/** Puts the repository where the server has it, under a name that policy and adapter know. */
export async function serveRepository({ server, source }: GitParts): Promise<void> {
  await run("git", ["clone", "-q", "--bare", "--no-hardlinks", source, join(server.root, "large.git")]);
}

type Taken = { readonly seconds: number; readonly cpu: number };

export async function measureGit(
  targets: readonly Target[],
  parts: GitParts,
  rounds: number,
): Promise<{ clone: Row[]; push: Row[] }> {
  const clones = new Map<string, Taken[]>();
  const pushes = new Map<string, Taken[]>();
  const keep = (taken: Map<string, Taken[]>, name: string, got: Taken) =>
    taken.set(name, [...(taken.get(name) ?? []), got]);
  for (let round = 0; round < rounds; round++) {
    for (const target of targets) keep(clones, target.name, await clone(target, parts));
    for (const target of targets) keep(pushes, target.name, await push(target, parts));
  }
  return { clone: rows(targets, clones), push: rows(targets, pushes) };
}

async function clone(target: Target, parts: GitParts): Promise<Taken> {
  const to = join(parts.directory, "clone.git");
  const got = await timed(target, () =>
    git(target, parts, ["clone", "-q", "--bare", `${target.url("git")}/large.git`, to]),
  );
  rmSync(to, { recursive: true });
  return got;
}

async function push(target: Target, parts: GitParts): Promise<Taken> {
  const name = "pushed.git";
  const path = await parts.server.createRepository(name);
  const got = await timed(target, () =>
    git(target, parts, [
      "-C",
      parts.source,
      "push",
      "-q",
      `${target.url("git")}/${name}`,
      "main:refs/heads/bench",
    ]),
  );
  rmSync(path, { recursive: true });
  return got;
}

async function timed(target: Target, work: () => Promise<unknown>): Promise<Taken> {
  const pids = target.pids();
  const before = cpuOf(pids);
  const began = performance.now();
  await work();
  return { seconds: (performance.now() - began) / 1000, cpu: (cpuOf(pids) - before) / 1000 };
}

export function git(target: Target, { token, directory }: GitParts, args: string[]): Promise<string> {
  mkdirSync(directory, { recursive: true });
  // In a file: command lines are in the message of an error.
  const config = join(directory, target.guarded ? "guarded" : "open");
  writeFileSync(config, target.guarded ? `[http]\n\textraHeader = Authorization: Bearer ${token}\n` : "");
  const env = {
    PATH: process.env["PATH"],
    HOME: directory,
    GIT_CONFIG_GLOBAL: config,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
  };
  return run("git", args, { env, timeoutMs: 600_000 });
}

function rows(targets: readonly Target[], taken: ReadonlyMap<string, readonly Taken[]>): Row[] {
  const seconds = (name: string) => median((taken.get(name) ?? []).map((each) => each.seconds));
  return targets.map(({ name }) => ({
    target: name,
    seconds: seconds(name),
    "to bare": seconds(name) / seconds("bare"),
    "CPU ms": median((taken.get(name) ?? []).map(({ cpu }) => cpu)).toFixed(0),
  }));
}
