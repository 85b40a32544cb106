/** Runs a plan: the archive's endpoint, one holder per workerd, the recorder first; restarts and stops them in order. */

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { type DirectoryEndpoint, directoryEndpoint } from "#scripts/archive/directory-endpoint.ts";
import type { Address } from "#scripts/config/values.ts";
import { servePrograms } from "#scripts/programs/programs.ts";
import { objectsDirectory } from "#scripts/workerd/added.ts";
import type { InstanceSpec, SocketSpec } from "#scripts/workerd/spec.ts";
import { type Holder, hold } from "./holder.ts";
import type { Plan } from "./plan.ts";
import {
  configName,
  currentDirectory,
  lockFile,
  makeClearanceKey,
  runDirectory,
  writeGeneration,
} from "./run-directory.ts";
import { type Listening, listenOn, listenOnPath } from "./socket.ts";

export type Running = {
  readonly agents: Address;
  readonly console: Address;
  /** Restarts every workerd with another plan of the same shape; connections wait meanwhile. */
  reload(plan: Plan): Promise<void>;
  /** Resolves when nothing of the node is left. */
  stop(): Promise<void>;
  /** Resolves with the reason when the node can no longer run. */
  readonly lost: Promise<string>;
};

/** Seconds an exchange may take to end after a stop or a restart was asked for. */
const GRACE = 10;
/** A recorder of its own is stopped after its fronts: nobody waits for it, and what it has acknowledged is durable. */
const RECORDER_GRACE = 2;
const START_MS = 30_000;

/** workerd's own binary: its launcher in .bin is a Node program that would stand between us and it. */
const WORKERD = createRequire(import.meta.url)("workerd").default as string;

export async function start(first: Plan): Promise<Running> {
  const { state } = first.settings.serve;
  const clearance = makeClearanceKey();
  mkdirSync(objectsDirectory(state), { recursive: true, mode: 0o700 });
  writeGeneration(state, { ...first.generation, clearance });
  const endpoints = await serveDirectories(first);
  const { programsSocket } = first.generated;
  const programs =
    programsSocket === undefined ? undefined : await servePrograms(programsSocket, first.programs);
  const bound = { agents: first.settings.listen.agents, console: first.settings.listen.console };
  const holders: Holder[] = [];
  const stop = async () => {
    // Fronts before the recorder: what they still do must be recorded.
    const [recorder, ...fronts] = holders;
    await Promise.all(fronts.map((front) => front.stop()));
    await recorder?.stop();
    await Promise.all([...endpoints, ...(programs ? [programs] : [])].map((beside) => beside.stop()));
  };
  try {
    for (const instance of first.generated.instances) {
      const holder = startOne(first, instance, bound);
      holders.push(holder);
      await listens(holder);
    }
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const reload = async (next: Plan) => {
    if (shape(next) !== shape(first))
      throw new Error("sockets, topology or state changed: stop and start to apply");
    const [recorder, ...fronts] = holders;
    await Promise.all(fronts.map((front) => unlessLost(front, front.pause())));
    if (recorder !== undefined) await unlessLost(recorder, recorder.pause());
    writeGeneration(state, { ...next.generation, clearance });
    programs?.use(next.programs);
    for (const holder of holders) {
      holder.resume(next.environments.get(holder.name) ?? {});
      await listens(holder);
    }
  };
  const lost = Promise.race(holders.map(async ({ name, lost }) => `${name} ${await lost}`));
  return { ...bound, reload, stop, lost };
}

/** The directories that stand for buckets, each on its own socket. */
async function serveDirectories({ settings, generated }: Plan): Promise<DirectoryEndpoint[]> {
  const { archive, keys } = settings;
  const { directorySocket, keysSocket } = generated;
  const endpoints: DirectoryEndpoint[] = [];
  if (archive.kind === "directory" && directorySocket !== undefined)
    endpoints.push(await directoryEndpoint({ root: archive.path, socket: directorySocket }));
  if (keys?.kind === "directory" && keysSocket !== undefined)
    endpoints.push(await directoryEndpoint({ root: keys.path, socket: keysSocket, keys: true }));
  return endpoints;
}

async function listens(holder: Holder): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const message = `workerd (${holder.name}) does not listen after ${START_MS / 1000} s`;
  const timer = setTimeout(() => reject(new Error(message)), START_MS);
  try {
    await unlessLost(holder, Promise.race([holder.listening(), late]));
  } finally {
    clearTimeout(timer);
  }
}

async function unlessLost(holder: Holder, done: Promise<void>): Promise<void> {
  const lost = holder.lost.then((why) => Promise.reject(new Error(`workerd (${holder.name}): ${why}`)));
  await Promise.race([done, lost]);
}

/** What a running node cannot change without closing its sockets or moving its state. */
const shape = ({ settings, generated }: Plan): string => {
  const { topology, fronts, state } = settings.serve;
  const sockets = generated.instances.map(({ sockets }) => sockets);
  const archive = settings.archive.kind === "directory" ? settings.archive.path : "";
  const keys = settings.keys?.kind === "directory" ? settings.keys.path : "";
  const programs = generated.programsSocket !== undefined;
  return JSON.stringify([settings.listen, topology, fronts, state, archive, keys, sockets, programs]);
};

function startOne(plan: Plan, instance: InstanceSpec, bound: { agents: Address; console: Address }): Holder {
  const { topology, state } = plan.settings.serve;
  const listening = instance.sockets.map((socket) => ({
    name: socket.name,
    at: open(socket, bound, topology === "split"),
  }));
  for (const [i, { listen }] of instance.sockets.entries()) {
    const at = listening[i]?.at;
    // Port 0 becomes the port we got: the next front shares it.
    if (listen.kind !== "unix" && at !== undefined) bound[listen.kind] = at.address;
  }
  const holds = instance.services.some(
    (service) => service.kind === "worker" && service.storage !== undefined,
  );
  try {
    return hold({
      name: instance.name,
      command: [WORKERD, "serve", `${currentDirectory(state)}/${configName(instance.name)}`],
      directory: runDirectory(state),
      sockets: listening.map(({ name, at }) => ({ name, fd: at.fd })),
      ...(holds ? { lock: lockFile(state) } : {}),
      environment: plan.environments.get(instance.name) ?? {},
      grace: instance.name === "recorder" ? RECORDER_GRACE : GRACE,
    });
  } finally {
    for (const { at } of listening) at.release();
  }
}

function open(
  { listen }: SocketSpec,
  bound: { agents: Address; console: Address },
  shared: boolean,
): Listening {
  return listen.kind === "unix" ? listenOnPath(listen.path) : listenOn(bound[listen.kind], shared);
}
