/** From a configuration to what can be started: generated, with keys and secrets read, or the findings that say why not. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { DIST, ROOT, readBuild } from "#scripts/build.ts";
import { error, type Finding, failed, reason } from "#scripts/config/finding.ts";
import { initKeys, readKeys } from "#scripts/config/keys.ts";
import { resolveSecret } from "#scripts/config/secret.ts";
import type { Settings } from "#scripts/config/settings.ts";
import type { Program } from "#scripts/programs/program.ts";
import { type Generated, generate } from "#scripts/workerd/generate.ts";
import { readWrangler } from "#scripts/workerd/wrangler.ts";
import { type Generation, modulesOf } from "./run-directory.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export type Plan = {
  readonly settings: Settings;
  readonly generated: Generated;
  readonly generation: Omit<Generation, "clearance">;
  /** By instance, the variables workerd gets. */
  readonly environments: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** MCP servers that run here, with their secrets read. */
  readonly programs: readonly Program[];
};

export type Planned = { readonly plan?: Plan; readonly findings: readonly Finding[] };

/** What would run, without its keys and secrets. */
export function preview(settings: Settings, sockets: string, dist = DIST): Generated {
  const build = readBuild(dist);
  const digests = { build: build.digest, config: settings.digest };
  return generate(readWrangler(join(ROOT, "wrangler.toml")), settings, modulesOf(build), digests, {
    sockets,
  });
}

export function plan(settings: Settings, sockets: string, env: Environment, dist = DIST): Planned {
  try {
    initKeys(settings);
    const generated = preview(settings, sockets, dist);
    const read = readKeys(settings, env);
    const { environments, findings } = environmentsOf(generated, env);
    const programs = programsOf(settings, env);
    const all = [...directory(settings.policy.dir), ...read.findings, ...findings, ...programs.findings];
    if (read.keys === undefined || failed(all)) return { findings: all };
    const { instances } = generated;
    const generation = { instances, build: readBuild(dist), dist, keys: read.keys };
    const planned = { settings, generated, generation, environments, programs: programs.programs };
    return { plan: planned, findings: all };
  } catch (thrown) {
    return { findings: [error("serve", reason(thrown))] };
  }
}

function directory(path: string): Finding[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [];
  return [error("policy.dir", `${path} is not a directory`)];
}

/** Reads what programs get by their environment. */
export function programsOf({ connections }: Settings, env: Environment) {
  const findings: Finding[] = [];
  const programs = connections.flatMap(({ name, program }): Program[] => {
    if (!program) return [];
    const entries = Object.entries(program.environment).flatMap(([variable, value]) => {
      if (typeof value === "string") return [[variable, value] as const];
      const secret = resolveSecret(`${variable} of ${name}`, value, env);
      findings.push(...secret.findings);
      return secret.text === undefined ? [] : [[variable, secret.text] as const];
    });
    return [{ ...program, name, environment: Object.fromEntries(entries) }];
  });
  return { programs, findings };
}

/** Reads every secret that workerd gets by its environment. */
export function environmentsOf(generated: Generated, env: Environment) {
  const findings: Finding[] = [];
  const environments = new Map<string, Record<string, string>>();
  for (const [instance, secrets] of generated.secrets) {
    const variables: Record<string, string> = {};
    for (const { variable, at, ref } of secrets) {
      const secret = resolveSecret(at, ref, env);
      findings.push(...secret.findings);
      if (secret.text === undefined) continue;
      if (/[\n\r\0]/.test(secret.text)) findings.push(error(at, "must be one line of text"));
      else variables[variable] = secret.text;
    }
    environments.set(instance, variables);
  }
  return { environments, findings };
}
