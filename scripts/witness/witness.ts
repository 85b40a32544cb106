/** `steno witness`: cosigns that logs only grow. For somebody else than who runs the log. */

import { once } from "node:events";
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import * as v from "valibot";
import { ED25519, ML_DSA_44, type NoteKey, readVkey, writeVkey } from "#durable/proof/log/note.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { ListenAddress, showAddress } from "#scripts/config/values.ts";
import { lockState } from "#scripts/serve/lock.ts";
import { type Cosigner, describe, Witness } from "./cosign.ts";
import { makeKey, readCosigner } from "./keys.ts";
import { witnessServer } from "./server.ts";
import { makeFolder, WitnessState } from "./state.ts";

const FLAGS = {
  name: "text",
  key: "text",
  "pq-key": "text",
  listen: "text",
  log: "texts",
  state: "text",
} as const;

/** Runs until SIGTERM or SIGINT. */
export async function witness(args: string[]): Promise<number> {
  const { values } = readFlags(args, FLAGS);
  const { name, key, state: directory } = values;
  if (name === undefined || key === undefined || directory === undefined)
    throw new UsageFault("witness needs --name, --key and --state");
  if (!/^[^\s+]+$/u.test(name)) throw new UsageFault(`--name ${name}: no white space and no plus sign`);
  const logs = readLogs(values.log ?? []);
  const listen = v.safeParse(ListenAddress, values.listen ?? "127.0.0.1:8790");
  if (!listen.success) throw new UsageFault(`--listen: ${listen.issues[0].message}`);
  const cosigners = await prepare(name, key, values["pq-key"], directory);
  const lock = await lockState(directory, "steno witness");
  try {
    const state = new WitnessState(directory);
    const now = () => Math.floor(Date.now() / 1000);
    for (const { key } of cosigners) console.log(`witness ${writeVkey(key)}`);
    for (const origin of new Set(logs.map((log) => log.name)))
      console.log(`log ${describe(await state.read(origin))}`);
    const server = witnessServer(new Witness({ cosigners, logs, state, now }), (text) =>
      console.error(`steno witness: ${text}`),
    );
    const { host, port } = listen.output;
    server.listen(port, host);
    await once(server, "listening");
    console.log(`listening http://${showAddress({ host, port: (server.address() as AddressInfo).port })}`);
    await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
    server.closeIdleConnections();
    await new Promise((resolve) => server.close(resolve));
    return 0;
  } finally {
    await lock.release();
  }
}

/** Makes key and state together, at the first start. A key whose state is gone has forgotten what it cosigned. */
async function prepare(
  name: string,
  key: string,
  pqKey: string | undefined,
  state: string,
): Promise<readonly Cosigner[]> {
  const keys = [[key, "ed25519"] as const, ...(pqKey === undefined ? [] : [[pqKey, "ml-dsa-44"] as const])];
  const remembers = existsSync(state);
  for (const [path] of keys)
    if (!remembers && existsSync(path))
      throw new Error(
        `${path} is there, and the state ${state} is not: a witness that forgot what it cosigned needs another key. ` +
          "If this key has never cosigned anything, make the directory",
      );
  if (!remembers) await makeFolder(state);
  for (const [path, kind] of keys) makeKey(path, kind);
  return keys.map(([path, kind]) => readCosigner(path, kind, name));
}

function readLogs(vkeys: readonly string[]): readonly NoteKey[] {
  if (vkeys.length === 0) throw new UsageFault("witness needs --log VKEY, for each log that it may cosign");
  return vkeys.map((vkey) => {
    const key = readVkey(vkey.trim());
    if (typeof key === "string") throw new UsageFault(`--log ${vkey}: ${key}`);
    if (key.type !== ED25519 && key.type !== ML_DSA_44)
      throw new UsageFault(`--log ${vkey}: a key of type ${key.type} does not sign checkpoints`);
    return key;
  });
}
