// What evidence costs a running node: heads a second, and how long after its end a session has its seal in the archive.
import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import { type Node, startNode } from "#test/support/steno.ts";
import { pass } from "../bulk.ts";
import { quantile, type Row } from "../measure.ts";

export type Around = {
  readonly directory: string;
  readonly issuer: string;
  readonly tokens: readonly string[];
  /** Of the bulk upstream. */
  readonly upstream: string;
};
export type Amount = { readonly sessions: number; readonly seals: number; readonly megabytes: number };

const WAIT_MS = 120_000;

export async function measureSealing(around: Around, amount: Amount): Promise<Row[]> {
  const { directory, issuer, upstream } = around;
  const connections = [{ name: "bulk", kind: "git", upstream }];
  const node = await startNode({ directory: join(directory, "evidence"), issuer, connections });
  try {
    return [...(await heads(node, around, amount)), await seals(node, around, amount)];
  } finally {
    await node.stop();
  }
}

/** Every session has two heads: one before it may be used, and one at its end. */
async function heads(node: Node, { tokens }: Around, { sessions }: Amount): Promise<Row[]> {
  const opened: [SessionId, string][] = [];
  const began = performance.now();
  await each(sessions, async (n) => {
    const token = tokens[n % tokens.length] ?? "";
    opened.push([await open(node, token), token]);
  });
  const opening = (performance.now() - began) / 1000;
  const again = performance.now();
  await each(sessions, async (n) => {
    const [session, token] = opened[n] ?? ["" as SessionId, ""];
    await end(node, token, session);
  });
  for (const [session] of opened) await sealed(node, session);
  const closed = (performance.now() - again) / 1000;
  const stored = globSync(join(node.archive, "log/entry/*.sigstore.json")).length;
  return [
    { what: `open heads, ${sessions} sessions, 16 at once`, "a second": sessions / opening },
    {
      what: `terminal heads to their seals in the archive (${stored} entries)`,
      "a second": sessions / closed,
    },
  ];
}

async function seals(node: Node, { tokens: [token = ""] }: Around, amount: Amount): Promise<Row> {
  const { seals: count, megabytes } = amount;
  const took: number[] = [];
  for (let n = 0; n < count; n++) {
    // Without a session of its own an exchange joins the principal's open one: found by what it is told.
    await pass(`${node.gateway()}/git/bulk`, "fetch", megabytes, token);
    const session = await newest(node, token);
    const ended = performance.now();
    await end(node, token, session);
    await sealed(node, session);
    took.push(performance.now() - ended);
  }
  return {
    what: `end to seal, ${megabytes} MB session, ${count} of them`,
    "p50 ms": quantile(took, 0.5),
    "p99 ms": quantile(took, 0.99),
    "max ms": Math.max(...took),
  };
}

async function each(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 16 }, one));
}

async function ask(node: Node, token: string, method: string, path: string): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, "user-agent": "git/2.39.5" };
  const response = await fetch(`${node.gateway()}${path}`, { method, headers });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

async function open(node: Node, token: string): Promise<SessionId> {
  const { session } = (await (await ask(node, token, "POST", "/v1/sessions")).json()) as {
    session: SessionId;
  };
  return session;
}

async function newest(node: Node, token: string): Promise<SessionId> {
  const { sessions } = (await (await ask(node, token, "GET", "/v1/sessions")).json()) as {
    sessions: { session: SessionId; status: string }[];
  };
  const found = sessions.find(({ status }) => status === "open");
  if (!found) throw new Error("the exchange has no open session");
  return found.session;
}

const end = async (node: Node, token: string, session: SessionId): Promise<void> =>
  void (await (await ask(node, token, "DELETE", `/v1/sessions/${session}`)).arrayBuffer());

async function sealed(node: Node, session: SessionId): Promise<void> {
  const seal = join(node.archive, sessionFolder(session), SEAL_NAME);
  for (const until = performance.now() + WAIT_MS; !existsSync(seal); await sleep(2))
    if (performance.now() > until) throw new Error(`${session} has no seal after ${WAIT_MS / 1000} s`);
}
