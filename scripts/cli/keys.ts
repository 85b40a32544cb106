/** `steno keys`: the node's own keys, of which only public halves are shown, and those of encrypted sessions. */
import { reason } from "#scripts/config/finding.ts";
import { fingerprint, initKeys, keysDirectory, readKeys } from "#scripts/config/keys.ts";
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
  if (verb !== "init" && verb !== "show") throw new UsageFault("say keys init, keys show or keys share");
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
