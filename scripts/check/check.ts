/** `steno check`: everything that can be known of a configuration before, and while, it serves. One finding a line. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { DETECTORS } from "#durable/format/mask/finding.ts";
import { readBuild } from "#scripts/build.ts";
import { readFlags } from "#scripts/cli/flags.ts";
import { print } from "#scripts/cli/report.ts";
import { error, type Finding, failed, ok, reason, warning } from "#scripts/config/finding.ts";
import { keysDirectory, readKeys } from "#scripts/config/keys.ts";
import { resolveSecret } from "#scripts/config/secret.ts";
import { loadSettings, type Settings } from "#scripts/config/settings.ts";
import { isLoopback, showAddress } from "#scripts/config/values.ts";
import { placed } from "#scripts/policy/open.ts";
import { validatePolicies } from "#scripts/policy/validate.ts";
import type { PolicyFinding } from "#workers/policy/set/source.ts";
import { archive, sessionKeysStore } from "./archive.ts";
import { presidio } from "./presidio.ts";
import { programs } from "./programs.ts";
import { issuers, upstreams } from "./reach.ts";
import { tsa } from "./tsa.ts";
import { witnesses } from "./witnesses.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Exit 0: nothing is wrong; 1: something is; 2: the configuration could not be read at all. */
export async function check(args: string[]): Promise<number> {
  const { values } = readFlags(args, { config: "text", json: "flag" });
  const { settings, findings } = loadSettings(process.cwd(), values.config);
  print(findings, values.json === true);
  if (settings === undefined) return findings.some(({ text }) => text.startsWith("cannot be read")) ? 2 : 1;
  const looked = await look(settings, process.env);
  print(looked, values.json === true);
  return failed(looked) ? 1 : 0;
}

export async function look(settings: Settings, env: Environment): Promise<readonly Finding[]> {
  const found = await Promise.all([
    settings.file === undefined
      ? ok("config", "no steno.toml: embedded defaults")
      : ok("config", settings.file),
    build(),
    policies(settings),
    keys(settings, env),
    secrets(settings, env),
    inTheClear(settings),
    tools(),
    upstreams(settings),
    programs(settings, env),
    issuers(settings),
    archive(settings, env),
    sessionKeysStore(settings, env),
    witnesses(settings, env),
    tsa(settings),
    presidio(settings),
  ]);
  return found.flat();
}

function build(): Finding {
  try {
    return ok("build", readBuild().digest);
  } catch (thrown) {
    return error("build", reason(thrown));
  }
}

async function policies({ policy: { dir }, mask }: Settings): Promise<Finding[]> {
  const own = [...mask.patterns, ...mask.dictionaries].map(({ name }) => name);
  const result = await validatePolicies(dir, [...DETECTORS, ...own]);
  const said = (level: typeof error, finding: PolicyFinding) => {
    const { at, text } = placed(finding, dir);
    return level(`policy ${at}`, text);
  };
  if ("errors" in result) return result.errors.map((finding) => said(error, finding));
  const warnings = result.warnings.map((finding) => said(warning, finding));
  return [ok(`policy ${dir}`, `${result.policies} policies, SHA-256 ${result.digest}`), ...warnings];
}

function keys(settings: Settings, env: Environment): readonly Finding[] {
  const directory = keysDirectory(settings.serve.state);
  if (!existsSync(directory)) return [ok("keys", `none yet in ${directory}: the first start makes them`)];
  return readKeys(settings, env).findings;
}

function secrets(settings: Settings, env: Environment): Finding[] {
  const uses = [
    ...settings.connections.flatMap(({ name, credential }) =>
      credential === undefined ? [] : [[`credential of ${name}`, credential.secret] as const],
    ),
    ...settings.issuers.flatMap(({ issuer, client }) =>
      client?.secret === undefined ? [] : [[`client_secret of ${issuer}`, client.secret] as const],
    ),
  ];
  return uses.flatMap(([at, ref]) => {
    const { text, findings } = resolveSecret(at, ref, env);
    return text === undefined ? [...findings] : [ok(at, "is set"), ...findings];
  });
}

/** What travels unencrypted beyond this machine. */
function inTheClear({ listen, connections, issuers }: Settings): Finding[] {
  const sockets = [
    ["listen.agents", listen.agents],
    ["listen.console", listen.console],
  ] as const;
  return [
    ...sockets
      .filter(([, { host }]) => !isLoopback(host))
      .map(([at, address]) =>
        warning(at, `${showAddress(address)} takes tokens in the clear: put TLS in front`),
      ),
    ...connections
      .filter(
        ({ upstream, credential }) => credential && upstream?.scheme === "http" && !isLoopback(upstream.host),
      )
      .map(({ name }) => warning(`upstream ${name}`, "gets its credential in the clear: use https://")),
    ...issuers
      .filter(({ issuer }) => issuer.startsWith("http:") && !isLoopback(new URL(issuer).hostname))
      .map(({ issuer }) => warning(`issuer ${issuer}`, "its keys come in the clear: use https://")),
  ];
}

function tools(): Finding {
  const found = spawnSync("flock", ["--version"], { stdio: "ignore" }).error === undefined;
  return found ? ok("flock", "found") : error("flock", "is missing: install the Debian package util-linux");
}
