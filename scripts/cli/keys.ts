/** `steno keys init|show`: the node's own keys. Only public halves and places are ever shown. */
import { reason } from "#scripts/config/finding.ts";
import { fingerprint, initKeys, keysDirectory, readKeys } from "#scripts/config/keys.ts";
import { readFlags, UsageFault } from "./flags.ts";
import { loadOrReport, print } from "./report.ts";

export async function keys(args: string[]): Promise<number> {
  const { values, rest } = readFlags(args, { config: "text", json: "flag" }, 1);
  const [verb] = rest;
  if (verb !== "init" && verb !== "show") throw new UsageFault("say keys init, or keys show");
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
