import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { zstdDecompressSync } from "node:zlib";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readPrefix } from "#durable/format/frame.ts";
import { type ConnectionName, mintExchangeId, type SessionId } from "#durable/format/ids.ts";
import { entryKey, sessionFolder } from "#durable/format/layout.ts";
import type { Opening, RequestTape } from "#durable/format/tape.ts";
import { directoryOf, type Session, sessionOf } from "#durable/stubs.ts";
import { learning } from "./live-session.ts";
import { archive, clock, knowKey, limits } from "./main.ts";

const bindings = env as unknown as {
  SESSION: DurableObjectNamespace;
  LEDGER: DurableObjectNamespace;
  DIRECTORY: DurableObjectNamespace;
};
const alice: Opening = {
  principal: { issuer: "https://idp.example", subject: "alice", groups: ["developers"] },
  client: "git/2.39.5",
};

const exchange = () => mintExchangeId(Date.now(), crypto.getRandomValues(new Uint8Array(10)));

function request(over: Partial<RequestTape> = {}): RequestTape {
  return {
    x: exchange(),
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

async function newSession(
  key: string,
): Promise<{ id: SessionId; session: Session; stub: DurableObjectStub }> {
  const found = await directoryOf(bindings.DIRECTORY).resolve(key, alice);
  if (!("session" in found)) throw new Error(JSON.stringify(found));
  return {
    id: found.session,
    session: learning(sessionOf(bindings.SESSION, found.session)),
    stub: bindings.SESSION.getByName(found.session),
  };
}

/** Runs alarms as long as there are any that are due, as the runtime would. */
async function sealed(stub: DurableObjectStub, session: Session): Promise<void> {
  for (let i = 0; i < 50; i++) {
    if ((await session.view())?.status === "sealed") return;
    await runDurableObjectAlarm(stub);
  }
  throw new Error(`not sealed: ${JSON.stringify(await session.view())}`);
}

const linesOf = (id: SessionId): string[] =>
  [...archive.objects.entries()]
    .filter(([key]) => key.startsWith(`${sessionFolder(id)}frames-`))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, bytes]) => zstdDecompressSync(bytes).toString("utf8").trimEnd().split("\n"));
const framesOf = (id: SessionId) => linesOf(id).map((line) => JSON.parse(line) as Record<string, unknown>);

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
  archive.tried.length = 0;
  Object.assign(limits, {
    idleSeconds: 900,
    maxSeconds: 28_800,
    cutSeconds: 300,
    headSeconds: 600,
    backlogBytes: 1 << 30,
  });
});

describe("recording", () => {
  test("every frame is a line with the exact prefix, numbered from 0, starting and ending as a session must", async () => {
    const { id, session, stub } = await newSession("prefix");
    const tape = request();
    await session.begin(id, alice, tape);
    await session.respond(tape.x, {
      status: 200,
      headers: [],
      bytes: new TextEncoder().encode("hello"),
      end: "complete",
    });
    await session.end("request");
    await sealed(stub, session);
    const lines = linesOf(id);
    expect(lines.map((line) => readPrefix(line)?.seq)).toEqual(lines.map((_, i) => i));
    expect(framesOf(id).map((frame) => frame["k"])).toEqual([
      "session.start",
      "request",
      "decision",
      "response",
      "data",
      "session.end",
    ]);
  });

  test("appends that arrive together are all kept, once each, in one order", async () => {
    const { id, session, stub } = await newSession("together");
    const tapes = Array.from({ length: 40 }, () => request());
    await Promise.all(tapes.map((tape) => session.begin(id, alice, tape)));
    await Promise.all(
      tapes.map((tape) => session.respond(tape.x, { status: 200, headers: [], end: "complete" })),
    );
    await session.end("request");
    await sealed(stub, session);
    const requests = framesOf(id).filter((frame) => frame["k"] === "request");
    expect(new Set(requests.map((frame) => frame["x"]))).toEqual(new Set(tapes.map(({ x }) => x)));
    expect(requests).toHaveLength(40);
  });

  test("bytes that are sent twice are recorded once, and a hole is refused", async () => {
    const { id, session } = await newSession("twice");
    const tape = request();
    await session.begin(id, alice, tape);
    await session.respond(tape.x, { status: 200, headers: [] });
    const bytes = new Uint8Array(10).fill(65);
    expect(await session.append(tape.x, "s2c", 0, bytes)).toEqual({ ok: null });
    expect(await session.append(tape.x, "s2c", 0, bytes)).toEqual({ ok: null });
    expect(await session.append(tape.x, "s2c", 20, bytes)).toMatchObject({ no: { code: "malformed" } });
    expect((await session.view())?.bytes).toBe(10);
  });

  test("bodies that are not text go to a bytes segment, and their frames point to them", async () => {
    const { id, session, stub } = await newSession("binary");
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    const tape = request({ method: "POST", body: { kind: "whole", bytes } });
    await session.begin(id, alice, tape);
    await session.respond(tape.x, { status: 200, headers: [], end: "complete" });
    await session.end("request");
    await sealed(stub, session);
    expect(archive.objects.get(`${sessionFolder(id)}bytes-000000.bin`)).toEqual(bytes);
    expect(framesOf(id).find((frame) => frame["bytes"])).toMatchObject({
      bytes: [0, 0, 60_000],
      off: 0,
      dir: "c2s",
    });
  });

  test("with bodies = digest nothing of a body is kept but its length and digest", async () => {
    const { id, session, stub } = await newSession("digest");
    const secret = new TextEncoder().encode("the very words");
    const tape = request({ bodies: "digest", body: { kind: "whole", bytes: secret } });
    await session.begin(id, alice, tape);
    await session.respond(tape.x, { status: 200, headers: [], bytes: secret, end: "complete" });
    await session.end("request");
    await sealed(stub, session);
    expect(linesOf(id).join("\n")).not.toContain("the very words");
    expect(framesOf(id).filter((frame) => frame["len"] === secret.byteLength)).toHaveLength(2);
  });
});

describe("ends", () => {
  test("a killed session cuts live exchanges, tells who waits, and records nothing more", async () => {
    const { id, session, stub } = await newSession("killed");
    const tape = request();
    await session.begin(id, alice, tape);
    await session.respond(tape.x, { status: 200, headers: [] });
    const over = session.over();
    await session.end("killed", "https://idp.example dave");
    expect(await over).toBe("killed");
    expect(await session.append(tape.x, "s2c", 0, new Uint8Array(4))).toMatchObject({
      no: { code: "session_ended" },
    });
    expect(await session.begin(id, alice, request())).toMatchObject({ no: { code: "session_ended" } });
    await sealed(stub, session);
    expect(framesOf(id).slice(-2)).toMatchObject([
      { k: "data", dir: "s2c", end: "cut" },
      { k: "session.end", reason: "killed" },
    ]);
  });

  test("an idle session ends by itself and is sealed", async () => {
    const { id, session, stub } = await newSession("idle");
    await session.begin(
      id,
      alice,
      request({ decision: { verdict: "deny", policies: [], set: "0".repeat(64), reason: "no", denied: [] } }),
    );
    clock.ahead = 901_000;
    await sealed(stub, session);
    expect(await session.view()).toMatchObject({ status: "sealed", reason: "idle", denied: 1 });
    expect(framesOf(id).at(-1)).toMatchObject({ k: "session.end", reason: "idle" });
  });

  test("a session that is busy ends at its maximum time", async () => {
    const { id, session, stub } = await newSession("max");
    await session.begin(id, alice, request());
    clock.ahead = 28_700_000;
    await session.begin(id, alice, request());
    clock.ahead = 28_801_000;
    await sealed(stub, session);
    expect((await session.view())?.reason).toBe("max");
  });

  test("the key of an ended session opens a new one", async () => {
    const first = await newSession("again");
    await first.session.begin(first.id, alice, request());
    await first.session.end("request");
    expect((await newSession("again")).id).not.toBe(first.id);
  });
});

describe("sealing", () => {
  test.each(["not kept", "kept"] as const)(
    "an object whose put failed and was %s is stored once, and the seal follows",
    async (how) => {
      const { id, session, stub } = await newSession(`fault ${how}`);
      const folder = sessionFolder(id);
      archive.faults.push(
        ...["frames-", "bytes-", "seal"].map((part) => ({ key: new RegExp(folder + part), how, times: 1 })),
      );
      archive.faults.push({ key: /^log\/entry/, how, times: 2 });
      const tape = request({
        body: { kind: "whole", bytes: crypto.getRandomValues(new Uint8Array(50_000)) },
      });
      await session.begin(id, alice, tape);
      await session.respond(tape.x, { status: 200, headers: [], end: "complete" });
      await session.end("request");
      await sealed(stub, session);
      const stored = [...archive.objects.keys()].filter((key) => key.startsWith(folder));
      expect(stored.sort()).toEqual([
        `${folder}bytes-000000.bin`,
        `${folder}frames-000000.ndjson.zst`,
        `${folder}seal.sigstore.json`,
      ]);
      expect(framesOf(id)).toHaveLength(7);
    },
  );

  test("the open head is in the ledger before the first exchange is acknowledged", async () => {
    const { id, session } = await newSession("open head");
    await session.begin(id, alice, request());
    const heads = await runInDurableObject(bindings.LEDGER.getByName("ledger"), (_, state) =>
      state.storage.sql.exec("SELECT key FROM entry WHERE key LIKE ?", `%${id}%`).toArray(),
    );
    expect(heads).toEqual([{ key: `head ${id} 0` }]);
  });

  test("the ledger publishes every head in order, and the seal is the terminal one", async () => {
    const { id, session, stub } = await newSession("ledger");
    await session.begin(id, alice, request());
    await session.end("request");
    await sealed(stub, session);
    const seal = archive.objects.get(`${sessionFolder(id)}seal.sigstore.json`);
    const entries = [...archive.objects.keys()].filter((key) => key.startsWith("log/entry/"));
    expect(entries.length).toBeGreaterThan(1);
    for (let i = 0; i < entries.length; i++) expect(archive.objects.has(entryKey(i))).toBe(true);
    expect(entries.some((key) => archive.objects.get(key)?.toString() === seal?.toString())).toBe(true);
  });

  test("plaintext rows are purged once the stored copy has been read back", async () => {
    const { id, session, stub } = await newSession("purged");
    await session.begin(
      id,
      alice,
      request({ body: { kind: "whole", bytes: crypto.getRandomValues(new Uint8Array(50_000)) } }),
    );
    await session.end("request");
    await sealed(stub, session);
    const left = await runInDurableObject(stub, (_, { storage: { sql } }) =>
      sql
        .exec(
          "SELECT (SELECT count(*) FROM tape) + (SELECT count(*) FROM chunk) + (SELECT count(*) FROM packed) AS n",
        )
        .one(),
    );
    expect(left).toEqual({ n: 0 });
  });

  test("an open session's segments reach the archive when they are old enough, and a progress head says so", async () => {
    const { id, session, stub } = await newSession("cut by time");
    await session.begin(id, alice, request());
    clock.ahead = 301_000;
    await runDurableObjectAlarm(stub);
    expect(archive.objects.has(`${sessionFolder(id)}frames-000000.ndjson.zst`)).toBe(true);
    clock.ahead = 601_000;
    await session.begin(id, alice, request());
    await runDurableObjectAlarm(stub);
    expect((await session.view())?.status).toBe("open");
    const heads = await runInDurableObject(stub, (_, { storage }) =>
      storage.sql.exec("SELECT n FROM head").toArray(),
    );
    expect(heads.length).toBeGreaterThan(1);
  });

  test("while too much waits for the archive no new session is opened", async () => {
    const { id, session, stub } = await newSession("backlog");
    archive.faults.push({ key: /./, how: "not kept", times: 1_000 });
    await session.begin(
      id,
      alice,
      request({ body: { kind: "whole", bytes: new Uint8Array(100_000).fill(255) } }),
    );
    await session.end("request");
    await runDurableObjectAlarm(stub);
    limits.backlogBytes = 50_000;
    expect(await directoryOf(bindings.DIRECTORY).resolve("somebody else", alice)).toMatchObject({
      full: expect.any(Number),
    });
    archive.faults.length = 0;
    await sealed(stub, session);
    expect(await directoryOf(bindings.DIRECTORY).resolve("somebody else", alice)).toMatchObject({
      session: expect.any(String),
    });
  });
});

describe("many sessions", () => {
  const stranger = (n: number): Opening => ({
    ...alice,
    principal: { ...alice.principal, subject: "mallory" },
    conversation: `${n}`,
  });

  test("a principal that opens session after session is told to wait, while others go on", async () => {
    const directory = directoryOf(bindings.DIRECTORY);
    const answers = [];
    for (let n = 0; n < 245; n++) answers.push(await directory.resolve(`mallory ${n}`, stranger(n)));
    expect(answers.filter((answer) => "session" in answer).length).toBeGreaterThanOrEqual(240);
    expect(answers.at(-1)).toEqual({ later: 1 });
    expect(await directory.resolve("mallory 0", stranger(0))).toEqual(answers[0]);
    expect(await directory.resolve("somebody else again", alice)).toMatchObject({
      session: expect.any(String),
    });
    clock.ahead = 2_000;
    expect(await directory.resolve("mallory later", stranger(999))).toMatchObject({
      session: expect.any(String),
    });
  });
});

test("an answer that is recorded again after its reply was lost stands once", async () => {
  const { id, session, stub } = await newSession("answered twice");
  const tape = request({ method: "POST", body: { kind: "stream", prefix: new Uint8Array([1]) } });
  await session.begin(id, alice, tape);
  const answer = { status: 200, headers: [], bytes: new TextEncoder().encode("hello") };
  expect(await session.respond(tape.x, answer)).toEqual({ ok: null });
  expect(await session.respond(tape.x, answer)).toEqual({ ok: null });
  await session.end("request");
  await sealed(stub, session);
  expect(framesOf(id).filter((frame) => frame["k"] === "response")).toHaveLength(1);
});
