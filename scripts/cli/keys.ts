/** `steno keys`: the node's own keys, of which only public halves are shown, and those of encrypted sessions. */

import { logKeys } from "#durable/proof/log/checkpoint.ts";
import { writeVkey } from "#durable/proof/log/note.ts";
import { readLogPems } from "#durable/proof/log/trust.ts";
import { reason } from "#scripts/config/finding.ts";
import { fingerprint, initKeys, keysDirectory, readKeys } from "#scripts/config/keys.ts";
import { ORIGIN } from "#scripts/config/schema.ts";
import { showSecretRef } from "#scripts/config/secret.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { shareKeys } from "#scripts/encrypted/share.ts";
import { readFlags, UsageFault } from "./flags.ts";
import { loadOrReport, print } from "./report.ts";
import { TERMINAL, type Terminal } from "./terminal.ts";

const FLAGS = { config: "text", json: "flag", to: "text", identity: "text" } as const;

export async function keys(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, Number.POSITIVE_INFINITY);
  const [verb, ...ids] = rest;
  if (verb === "share") {
    const settings = loadOrReport(values.config);
    return settings === undefined ? 2 : await shareKeys(settings, ids, values, terminal);
  }
  if (verb === "rotate") return rotate(ids, values, terminal);
  if (verb !== "init" && verb !== "show")
    throw new UsageFault("say keys init, keys show, keys rotate or keys share");
  const [extra] = [...ids, values.to, values.identity].filter((value) => value !== undefined);
  if (extra !== undefined) throw new UsageFault(`keys ${verb} does not take "${extra}"`);
  const settings = loadOrReport(values.config);
  if (settings === undefined) return 2;
  const directory = keysDirectory(settings.serve.state);
  if (verb === "init") {
    try {
      const made = initKeys(settings);
      if (values.json === true) console.log(JSON.stringify({ directory, made }));
      else console.log(made.length === 0 ? `${directory}: all keys exist` : made.join("\n"));
      return 0;
    } catch (thrown) {
      console.error(`error: keys: ${reason(thrown)}`);
      return 1;
    }
  }
  const { keys, findings } = readKeys(settings, process.env);
  if (keys === undefined) {
    print(findings, values.json === true);
    return 1;
  }
  const sealed = { origin: settings.evidence.origin, seal: keys.sealPub, sha256: fingerprint(keys.sealPub) };
  console.log(
    values.json === true
      ? JSON.stringify(sealed)
      : `${sealed.origin}\nsha256 ${sealed.sha256}\n${sealed.seal}`,
  );
  return 0;
}

type Values = {
  readonly config?: string;
  readonly json?: boolean;
  readonly to?: string;
  readonly identity?: string;
};

/**
 * Makes the keys of a log that is to go on for the configured one, and says what to configure. Nothing else changes: until then the
 * node knows nothing of it, and a key that is there stays.
 */
function rotate(rest: readonly string[], values: Values, terminal: Terminal): number {
  const [origin, extra] = rest;
  if (origin === undefined || extra !== undefined || values.to !== undefined || values.identity !== undefined)
    throw new UsageFault(
      "keys rotate needs the name of the log that goes on: keys rotate seal-2027.example.com",
    );
  const settings = loadOrReport(values.config);
  if (settings === undefined) return 2;
  const { evidence } = settings;
  const named = [...evidence.previousOrigins, evidence.origin];
  if (!ORIGIN.test(origin)) throw new UsageFault(`"${origin}" is not a bare hostname in lower case`);
  if (named.includes(origin))
    throw new UsageFault(`there is a log named ${origin} already: each has a name of its own`);
  try {
    const next: Settings = { ...settings, evidence: nextEvidence(evidence, origin) };
    const made = initKeys(next);
    const { keys, findings } = readKeys(next, terminal.env);
    if (keys === undefined) {
      print(findings, values.json === true);
      return 1;
    }
    const { ed25519, mlDsa } = readLogPems(keys.logPub, keys.logPqPub);
    const log = logKeys(origin, ed25519, mlDsa);
    const vkeys = [writeVkey(log.ed25519), writeVkey(log.mlDsa)];
    const toml = { origin, previous_origins: named };
    if (values.json === true) terminal.out(JSON.stringify({ made, vkeys, evidence: toml }));
    else {
      for (const path of made) terminal.out(path);
      terminal.out("\nfor witnesses and auditors:");
      for (const vkey of vkeys) terminal.out(vkey);
      terminal.out("\nin steno.toml, under [evidence], and then start the node again:");
      terminal.out(`origin = "${origin}"`);
      terminal.out(`previous_origins = ${JSON.stringify(named)}`);
      for (const [key, was] of [
        ["log_key", evidence.logKey],
        ["log_pq_key", evidence.logPqKey],
      ] as const)
        if (was) terminal.out(`previous_${key} = "${showSecretRef(was)}"  # and take ${key} out`);
    }
    return 0;
  } catch (thrown) {
    terminal.err(`error: keys: ${reason(thrown)}`);
    return 1;
  }
}

/** The keys of the configured log, wherever they are, are those of the one before. */
function nextEvidence(evidence: Settings["evidence"], origin: string): Settings["evidence"] {
  const { logKey, logPqKey, previousLogKey: _, previousLogPqKey: __, ...rest } = evidence;
  return {
    ...rest,
    origin,
    previousOrigins: [...evidence.previousOrigins, evidence.origin],
    ...(logKey && { previousLogKey: logKey }),
    ...(logPqKey && { previousLogPqKey: logPqKey }),
  };
}
