// A session of the objects in test/workerd/main.ts: what it is told, how it loses its memory, and what was sealed of it.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { zstdDecompressSync } from "node:zlib";
import { type ConnectionName, type ExchangeId, mintExchangeId, type SessionId } from "#durable/format/ids.ts";
import { SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import type { Opening, RequestTape } from "#durable/format/tape.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import { directoryOf, type Session, sessionOf } from "#durable/stubs.ts";
import { archive, sealPub } from "./main.ts";

export const bindings = env as unknown as Readonly<
  Record<"SESSION" | "JOURNAL" | "LEDGER" | "DIRECTORY", DurableObjectNamespace>
>;
export const alice: Opening = {
  principal: { issuer: "https://idp.example", subject: "alice", groups: ["developers"] },
  client: "git/2.39.5",
};

export function request(over: Partial<RequestTape> = {}): RequestTape {
  return {
    x: mintExchangeId(Date.now(), crypto.getRandomValues(new Uint8Array(10))),
    connection: "code" as ConnectionName,
    operation: { kind: "unknown" },
    method: "GET",
    path: "/app.git/info/refs",
    headers: [["accept", "*/*"]],
    content: [],
    bodies: "full",
    body: { kind: "none" },
    decision: { verdict: "allow", policies: ["p"], set: "0".repeat(64), reason: "", denied: [] },
    ...over,
  };
}

export interface LiveSession {
  readonly id: SessionId;
  readonly session: Session;
  readonly stub: DurableObjectStub;
  /** One exchange, answered whole; both halves must be acknowledged. */
  exchange(text?: string): Promise<ExchangeId>;
  /** The object is gone and made anew from what is durable at the next call. */
  forget(): Promise<void>;
  /** What its rows say, or have done to them, while it runs. */
  sql(query: string, ...args: SqlStorageValue[]): Promise<Record<string, SqlStorageValue>[]>;
  /** Runs its alarms, as the runtime would, until it is sealed. */
  sealed(): Promise<void>;
  frames(): Record<string, unknown>[];
}

export async function openSession(key: string): Promise<LiveSession> {
  const found = await directoryOf(bindings.DIRECTORY).resolve(key, alice);
  if (!("session" in found)) throw new Error(JSON.stringify(found));
  const id = found.session;
  // Asked for anew at each use: one that has seen its object break stays broken.
  const stub = () => bindings.SESSION.getByName(id);
  const live: LiveSession = {
    id,
    get session() {
      return learning(sessionOf(bindings.SESSION, id));
    },
    get stub() {
      return stub();
    },
    async exchange(text = "answer") {
      const { session } = live;
      const tape = request();
      acknowledged(await session.begin(id, alice, tape));
      const bytes = new TextEncoder().encode(text);
      acknowledged(await session.respond(tape.x, { status: 200, headers: [], bytes, end: "complete" }));
      return tape.x;
    },
    forget: () => evictDurableObject(stub()),
    sql: (query, ...args) => rowsOf(stub(), query, ...args),
    async sealed() {
      for (let i = 0; i < 50; i++) {
        if ((await live.session.view())?.status === "sealed") return;
        await runDurableObjectAlarm(stub());
      }
      throw new Error(`not sealed: ${JSON.stringify(await live.session.view())}`);
    },
    frames: () => framesOf(id),
  };
  return live;
}

/** The session as a gateway calls it: one that is told that it knew too little decides again on what it was told. */
export function learning(session: Session): Session {
  return new Proxy(session, {
    get(target, name) {
      if (name !== "begin" && name !== "decide") return Reflect.get(target, name, target);
      return async (...args: Parameters<Session["begin"]>) => {
        const call = Reflect.get(target, name, target) as Session["begin"];
        const answer = await call(...args);
        const taints = "no" in answer ? answer.no.taints : undefined;
        if (!taints) return answer;
        const [id, about, tape] = args;
        return call(id, about, { ...tape, taints });
      };
    },
  });
}

export function acknowledged(answer: object): void {
  if (!("ok" in answer)) throw new Error(JSON.stringify(answer));
}

/** What a call fails with; empty when it does not. */
export async function failure(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return "";
  } catch (error) {
    return error instanceof Error ? `${error.message} ${error.cause ?? ""}` : String(error);
  }
}

export const rowsOf = (stub: DurableObjectStub, query: string, ...args: SqlStorageValue[]) =>
  runInDurableObject(stub, (_, { storage }) => storage.sql.exec(query, ...args).toArray());

export const journal = (): DurableObjectStub => bindings.JOURNAL.getByName("journal");
/** First frame of each batch that the journal holds of a session. */
export const journalled = async (id: SessionId): Promise<number[]> =>
  (await rowsOf(journal(), "SELECT first FROM batch WHERE session = ? ORDER BY first", id)).map((row) =>
    Number(row["first"]),
  );

function framesOf(id: SessionId): Record<string, unknown>[] {
  return [...archive.objects.entries()]
    .filter(([key]) => key.startsWith(`${sessionFolder(id)}frames-`))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, bytes]) => zstdDecompressSync(bytes).toString("utf8").trimEnd().split("\n"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** What an auditor finds of one session in the archive. */
export async function verdict(id: SessionId, now = Date.now()): Promise<Verified> {
  archive.objects.set(SEAL_PUB, new Uint8Array(new TextEncoder().encode(await sealPub())));
  return verifyArchive(archive, { now }, id);
}

/** Every insert into a table of an object fails, as on a full disk, until the function that is returned is called. */
export async function refuseInserts(stub: DurableObjectStub, table: string): Promise<() => Promise<unknown>> {
  const raise = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
  await rowsOf(stub, `CREATE TRIGGER full_${table} BEFORE INSERT ON ${table} ${raise}`);
  return () => rowsOf(stub, `DROP TRIGGER full_${table}`);
}
