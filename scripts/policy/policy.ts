/** `steno policy validate|test|explain|simulate`. */
import { stat } from "node:fs/promises";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { explain } from "./explain.ts";
import { findingLine, openPolicies } from "./open.ts";
import type { PlaceOptions } from "./recorded.ts";
import { simulate } from "./simulate.ts";
import { testPolicies } from "./test-policies.ts";

const VERBS = ["validate", "test", "explain", "simulate"];
const DIRECTORY = "./policies";
const EXAMPLES = 3;

export async function policy(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const [verb, ...rest] = args;
  switch (verb) {
    case "validate": {
      const { values, rest: dirs } = readFlags(rest, { json: "flag" }, 1);
      return validate(await directory(dirs[0] ?? DIRECTORY), values.json === true, terminal);
    }
    case "test": {
      const { values, rest: dirs } = readFlags(rest, { json: "flag" }, 1);
      return testPolicies(await directory(dirs[0] ?? DIRECTORY), values.json === true, terminal);
    }
    case "explain": {
      const flags = {
        policies: "text",
        session: "text",
        exchange: "text",
        endpoint: "text",
        region: "text",
        identity: "text",
        keys: "text",
        json: "flag",
      } as const;
      const { values, rest: files } = readFlags(rest, flags, 1);
      const { session, exchange } = values;
      if (
        (session === undefined) !== (exchange === undefined) ||
        (session === undefined) === (files[0] === undefined)
      )
        throw new UsageFault("explain needs the file of a question, or --session PATH with --exchange ID");
      const recorded =
        session === undefined || exchange === undefined
          ? undefined
          : { ...reading(session, values), exchange };
      const policies = await directory(values.policies ?? DIRECTORY);
      return explain({ policies, file: files[0], recorded, json: values.json === true }, terminal);
    }
    case "simulate": {
      const flags = {
        policies: "text",
        since: "text",
        examples: "text",
        endpoint: "text",
        region: "text",
        identity: "text",
        keys: "text",
        json: "flag",
      } as const;
      const { values, rest: paths } = readFlags(rest, flags, 1);
      const [path] = paths;
      if (path === undefined) throw new UsageFault("simulate needs the path of an archive or of a session");
      const policies = await directory(values.policies ?? DIRECTORY);
      const since = sinceOf(values.since);
      const examples = examplesOf(values.examples);
      return simulate(
        { policies, recorded: reading(path, values), since, examples, json: values.json === true },
        terminal,
      );
    }
    default:
      throw new UsageFault(`say policy ${VERBS.join(", policy ")}`);
  }
}

const reading = (
  path: string,
  { endpoint, region, identity, keys }: { readonly [K in keyof Omit<PlaceOptions, "path">]?: string },
): PlaceOptions => ({ path, endpoint, region, identity, keys });

async function directory(path: string): Promise<string> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  if (!found.isDirectory()) throw new Error(`${path} is not a directory`);
  return path;
}

function sinceOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const at = /^\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new UsageFault(
      `--since ${text} is not a day (2026-11-26) or a moment in UTC (2026-11-26T07:00:00Z)`,
    );
  return at;
}

function examplesOf(text: string | undefined): number {
  if (text === undefined) return EXAMPLES;
  if (!/^\d{1,6}$/.test(text)) throw new UsageFault(`--examples ${text} is not a number`);
  return Number(text);
}

async function validate(dir: string, json: boolean, { out, err }: Terminal): Promise<number> {
  const opened = await openPolicies(dir);
  const errors = "errors" in opened ? opened.errors : [];
  const warnings = "errors" in opened ? [] : opened.warnings;
  const loaded = "errors" in opened ? {} : { set: opened.set.digest, policies: opened.set.policies.size };
  if (json) out(JSON.stringify({ ...loaded, errors, warnings }));
  else {
    for (const error of errors) out(`error: ${findingLine(error, dir)}`);
    for (const warning of warnings) err(`warning: ${findingLine(warning, dir)}`);
    if (!("errors" in opened)) out(`${opened.set.policies.size} policies, SHA-256 ${opened.set.digest}`);
  }
  return errors.length === 0 ? 0 : 1;
}
