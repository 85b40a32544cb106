/** The directory a node runs from: `run/current` is one complete generation of configuration, modules and keys. */
import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Build } from "#scripts/build.ts";
import type { NodeKeys } from "#scripts/config/keys.ts";
import { KEY_FILES } from "#scripts/workerd/added.ts";
import { capnp } from "#scripts/workerd/capnp.ts";
import type { InstanceSpec, ModuleSpec } from "#scripts/workerd/spec.ts";

/** Secret of this node's isolates for as long as it runs: who holds it can clear exchanges. */
export const makeClearanceKey = (): Uint8Array => randomBytes(32);

export const modulesOf = (build: Build): readonly ModuleSpec[] =>
  // workerd takes the first module as the entry.
  build.modules
    .toSorted((a, b) => Number(b.name === "main.js") - Number(a.name === "main.js"))
    .map(({ name }) => ({ name, kind: name.endsWith(".wasm") ? "wasm" : "esm", embed: `modules/${name}` }));

export const runDirectory = (state: string): string => join(state, "run");
export const currentDirectory = (state: string): string => join(runDirectory(state), "current");
export const lockFile = (state: string): string => join(state, "recorder.lock");
export const configName = (instance: string): string => `${instance}.capnp`;

/** Room for a socket's name, and the limit of `sun_path` on Linux with its terminating NUL. */
const LONGEST_NAME = "/directory.sock.new".length;
const SUN_PATH = 108;

/** Where the sockets of a node are: below its state, or in a fresh private directory when that path is too long. */
export function socketDirectory(state: string): string {
  const usual = join(runDirectory(state), "sockets");
  if (Buffer.byteLength(usual) + LONGEST_NAME < SUN_PATH) {
    mkdirSync(usual, { recursive: true, mode: 0o700 });
    return usual;
  }
  return mkdtempSync(join(tmpdir(), "steno-"));
}

export type Generation = {
  readonly instances: readonly InstanceSpec[];
  readonly build: Build;
  readonly dist: string;
  readonly keys: NodeKeys;
  readonly clearance: Uint8Array;
};

/** Writes a generation next to the current one, then puts it in its place in one step. */
export function writeGeneration(state: string, generation: Generation): void {
  const run = runDirectory(state);
  const name = `generation-${randomBytes(6).toString("hex")}`;
  const directory = join(run, name);
  for (const part of ["keys", "modules"]) mkdirSync(join(directory, part), { recursive: true, mode: 0o700 });
  const secret = (file: string, content: string | Uint8Array) =>
    writeFileSync(join(directory, file), content, { mode: 0o600 });
  // A copy: building again under a running node must not change what it restarts with.
  for (const { name } of generation.build.modules) {
    copyFileSync(join(generation.dist, name), join(directory, "modules", name));
  }
  secret(KEY_FILES.clearance, generation.clearance);
  secret(KEY_FILES.pseudonym, generation.keys.pseudonym);
  secret(KEY_FILES.sealKey, generation.keys.sealPem);
  secret(KEY_FILES.sealPub, generation.keys.sealPub);
  secret(KEY_FILES.logKey, generation.keys.logPem);
  secret(KEY_FILES.logPub, generation.keys.logPub);
  secret(KEY_FILES.logPqKey, generation.keys.logPqPem);
  secret(KEY_FILES.logPqPub, generation.keys.logPqPub);
  const { previous } = generation.keys;
  if (previous) {
    secret(KEY_FILES.previousLogKey, previous.logPem);
    secret(KEY_FILES.previousLogPub, previous.logPub);
    secret(KEY_FILES.previousLogPqKey, previous.logPqPem);
    secret(KEY_FILES.previousLogPqPub, previous.logPqPub);
  }
  for (const instance of generation.instances) secret(configName(instance.name), capnp(instance));
  const next = join(run, `next-${name}`);
  symlinkSync(name, next);
  renameSync(next, currentDirectory(state));
  for (const old of readdirSync(run)) {
    if (old.startsWith("generation-") && old !== name) rmSync(join(run, old), { recursive: true });
  }
}
