// A whole node between two taps, so that what every client received and what the upstream saw can be held against the
// record: the durability rule as an observer without access to the node would check it.
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SEAL_NAME } from "#durable/format/layout.ts";
import type { Recording } from "./recording.ts";
import { type OidcServer, startOidc } from "./servers/oidc.ts";
import { freePort } from "./servers/ports.ts";
import { cli, type Node, type NodeOptions, startNode } from "./steno.ts";
import { header, type Instead, type Passed, startTap, type Tap } from "./tap.ts";

/** One exchange as its client saw it: everything before `cut` was released to it. */
export interface Seen {
  /** Absent when the connection ended before the head. */
  readonly status?: number;
  readonly exchange?: string;
  readonly session?: string;
  readonly bytes: Buffer;
  readonly cut: boolean;
}

export interface Ask {
  readonly token?: string;
  readonly conversation?: string;
  readonly session?: string;
  readonly connection?: string;
  readonly signal?: AbortSignal;
}

export interface FaultSite {
  readonly oidc: OidcServer;
  readonly node: Node;
  /** Between the node and its upstream. */
  readonly back: Tap;
  /** Between the clients and the node. */
  readonly front: Tap;
  token(sub?: string, audience?: string): Promise<string>;
  /** One exchange with a repository that nobody has used: the upstream answers with bytes of its own. */
  ask(how?: Ask): Promise<Seen>;
  /** The same, with the answer as it comes. */
  stream(repository: string, how?: Ask): Promise<Response>;
  url(repository: string, connection?: string): string;
  /** `steno …` as a person with tokens for both sockets runs it. */
  cli(sub: string, ...args: string[]): ReturnType<Node["cli"]>;
  /** The directory archive's sealed sessions, waited for by looking at the disk: nobody asks the node anything. */
  sealedAll(timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** What git's protocol calls `ls-refs`: the smallest exchange with a body in both directions. */
const LS_REFS = "0014command=ls-refs\n0000";
export const RESULT = { "content-type": "application/x-git-upload-pack-result" };

/** Answers every request with bytes that no other answer has, some of them with a length and some without. */
export const unique: Instead = (request, response) => {
  request.resume().once("end", () => {
    const bytes = randomBytes(64 + (randomBytes(2).readUInt16LE() % 2000));
    const length = bytes[0] === undefined || bytes[0] < 128 ? {} : { "content-length": bytes.length };
    response.writeHead(200, { ...RESULT, ...length }).end(bytes);
  });
  return true;
};

export async function startFaultSite(
  options: Partial<Omit<NodeOptions, "connections">> & {
    readonly instead?: Instead;
    /** Beside `code`, which leads to the tap. */
    readonly connections?: NodeOptions["connections"];
  } = {},
): Promise<FaultSite> {
  const { instead = unique, connections = [], ...rest } = options;
  const oidc = await startOidc();
  const back = await startTap(undefined, instead);
  const agents = await freePort();
  const node = await startNode({
    issuer: oidc.issuer,
    listen: { agents: `127.0.0.1:${agents}`, console: `127.0.0.1:${await freePort()}` },
    ...rest,
    connections: [{ name: "code", kind: "git", upstream: back.url }, ...connections],
  });
  const front = await startTap(`http://127.0.0.1:${agents}`);
  const tokens = new Map<string, Promise<string>>();
  const token = (sub = "alice", audience = "steno"): Promise<string> => {
    const key = `${sub} ${audience}`;
    const known = tokens.get(key) ?? oidc.token({ sub, audience });
    tokens.set(key, known);
    return known;
  };
  let asked = 0;
  const url = (repository: string, connection = "code") => `${front.url}/git/${connection}/${repository}`;
  const stream = async (repository: string, how: Ask = {}): Promise<Response> =>
    fetch(`${url(repository, how.connection)}/git-upload-pack`, {
      method: "POST",
      body: LS_REFS,
      headers: {
        authorization: `Bearer ${how.token ?? (await token())}`,
        "content-type": "application/x-git-upload-pack-request",
        "git-protocol": "version=2",
        ...(how.conversation === undefined ? {} : { "steno-conversation": how.conversation }),
        ...(how.session === undefined ? {} : { "steno-session": how.session }),
      },
      ...(how.signal && { signal: how.signal }),
    });
  return {
    oidc,
    node,
    back,
    front,
    token,
    url,
    stream,
    async cli(sub, ...args) {
      const tokens = {
        STENO_TOKEN: await token(sub),
        STENO_CONSOLE_TOKEN: await token(sub, "steno-console"),
      };
      const sockets = { STENO_GATEWAY: node.gateway(), STENO_CONSOLE: node.console() };
      return cli(args, node.config, { ...process.env, ...tokens, ...sockets });
    },
    ask: async (how) => seen(() => stream(`r${asked++}.git`, how)),
    sealedAll: (timeoutMs) => sealedAll(node, front, timeoutMs),
    async stop() {
      await node.stop();
      await Promise.all([front.stop(), back.stop(), oidc.stop()]);
    },
  };
}

/** Reads an answer to its end or to where it broke off. */
export async function seen(asking: () => Promise<Response>): Promise<Seen> {
  const parts: Uint8Array[] = [];
  let head: Omit<Seen, "bytes" | "cut"> = {};
  let cut = false;
  try {
    const response = await asking();
    const exchange = response.headers.get("steno-exchange");
    const session = response.headers.get("steno-session");
    head = { status: response.status, ...(exchange && { exchange }), ...(session && { session }) };
    for await (const chunk of response.body ?? []) parts.push(chunk);
  } catch {
    // The connection broke: what came until then is the answer.
    cut = true;
  }
  return { ...head, bytes: Buffer.concat(parts), cut };
}

/** Workers that ask one exchange after another until stopped; gives all that they saw. */
export function busy(site: FaultSite, workers: number, how: () => Ask = () => ({})) {
  const all: Seen[] = [];
  let stopped = false;
  const work = async (): Promise<void> => {
    while (!stopped) {
      const one = await site.ask(how());
      all.push(one);
      // A node that is starting again refuses at once: no need to ask it a thousand times.
      if (one.status !== 200) await sleep(20);
    }
  };
  const working = Array.from({ length: workers }, work);
  return {
    all,
    async stop(): Promise<readonly Seen[]> {
      stopped = true;
      await Promise.all(working);
      return all;
    },
  };
}

/**
 * What the clients received or the upstream saw, and the record does not have: one sentence each, none when the
 * durability rule was kept. Answers without `steno-session` are refusals that say themselves that nothing is recorded.
 */
export function notInRecord(
  front: readonly Passed[],
  back: readonly Passed[],
  recording: Recording,
  /** Path of the connections' upstreams, which the record leaves out. */
  base = "",
): string[] {
  const wrong: string[] = [];
  for (const { answerHeaders, answer, status, url } of front) {
    const x = header(answerHeaders(), "steno-exchange");
    if (x === undefined || header(answerHeaders(), "steno-session") === undefined) continue;
    const recorded = recording.exchanges.get(x);
    const received = answer();
    if (!recorded) wrong.push(`${x} (${url}) was answered with ${status()} and is not in the record`);
    else if (recorded.response?.status !== status()) wrong.push(`${x}: another status is recorded`);
    else if (!recorded.answered.bytes.subarray(0, received.length).equals(received))
      wrong.push(`${x}: ${received.length} bytes were released, ${recorded.answered.bytes.length} recorded`);
  }
  return [...wrong, ...notDecided(back, recording, base), ...outOfOrder(recording)];
}

/** Each request that reached the upstream takes one recorded exchange for itself, which was allowed. */
function notDecided(back: readonly Passed[], recording: Recording, base: string): string[] {
  const wrong: string[] = [];
  const left = new Map<string, Buffer[]>();
  for (const { request, decision, sent } of recording.exchanges.values()) {
    if (decision?.verdict !== "allow") continue;
    const key = `${request.method} ${request.path}`;
    left.set(key, [...(left.get(key) ?? []), sent.bytes]);
  }
  for (const { method, url, body } of back) {
    const recorded = left.get(`${method} ${url.replace(base, "")}`) ?? [];
    const passed = body();
    const at = recorded.findIndex((bytes) => bytes.subarray(0, passed.length).equals(passed));
    if (at < 0)
      wrong.push(`${method} ${url} reached the upstream with ${passed.length} bytes and is not recorded`);
    else recorded.splice(at, 1);
  }
  return wrong;
}

function outOfOrder({ sessions }: Recording): string[] {
  const wrong: string[] = [];
  for (const [session, frames] of sessions) {
    const decided = new Set<string>();
    for (const [i, frame] of frames.entries()) {
      if (frame.k === "decision") decided.add(frame.x);
      if (frame.k === "response" && !frame.refusal && !decided.has(frame.x))
        wrong.push(`${session} frame ${i}: ${frame.x} is answered before it is decided`);
    }
  }
  return wrong;
}

/** The sessions that clients were told of. */
export const sessionsTold = (front: readonly Passed[]): ReadonlySet<string> =>
  new Set(front.flatMap(({ answerHeaders }) => header(answerHeaders(), "steno-session") ?? []));

/** Session folders of a directory archive that have a seal. */
export function sealsIn(archive: string): ReadonlySet<string> {
  const names = readdirSync(archive, { recursive: true, encoding: "utf8" });
  const seals = names.filter((name) => name.endsWith(`/${SEAL_NAME}`));
  return new Set(seals.map((name) => name.split("/").at(-2) ?? ""));
}

async function sealedAll(node: Node, front: Tap, timeoutMs = 180_000): Promise<void> {
  for (const end = performance.now() + timeoutMs; ; await sleep(50)) {
    const sealed = sealsIn(join(node.archive));
    const open = [...sessionsTold(front.passed)].filter((session) => !sealed.has(session));
    if (open.length === 0) return;
    if (performance.now() > end) throw new Error(`not sealed: ${open}\n${node.output().slice(-4000)}`);
  }
}

/** Kills workerd processes of the node with -9; without `which`, all of them. Returns how many there were. */
export function killWorkerd(node: Node, which: (pid: number) => boolean = () => true): number {
  const pids = node.workerds().filter(which);
  for (const pid of pids) process.kill(pid, "SIGKILL");
  return pids.length;
}

/** Until the node answers an exchange again. */
export async function answers(site: FaultSite, how: Ask = {}): Promise<Seen> {
  for (const end = performance.now() + 90_000; ; ) {
    const one = await site.ask(how);
    if (one.status === 200) return one;
    if (performance.now() > end)
      throw new Error(`no answer: ${one.status} ${one.bytes}\n${site.node.output().slice(-4000)}`);
    await sleep(25);
  }
}
