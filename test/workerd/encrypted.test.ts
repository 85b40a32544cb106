// Sessions that are encrypted to auditors: what is stored, what can be read of it and by whom, and what stays on the node.
import { runDurableObjectAlarm } from "cloudflare:test";
import { zstdDecompressSync } from "node:zlib";
import { Decrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { SEAL_PUB, sessionFolder, sessionKey } from "#durable/format/layout.ts";
import { unsealWith } from "#durable/proof/age/unseal.ts";
import { utf8 } from "#durable/proof/bytes.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import { directoryOf } from "#durable/stubs.ts";
import {
  acknowledged,
  alice,
  bindings,
  failure,
  journal,
  type LiveSession,
  openSession,
  request,
  rowsOf,
} from "./live-session.ts";
import { archive, encryption, keys, knowKey, sealPub } from "./main.ts";

let auditor: string;
let stranger: string;
beforeAll(async () => {
  await knowKey();
  auditor = await generateX25519Identity();
  stranger = await generateX25519Identity();
});
beforeEach(async () => {
  encryption.to = [await identityToRecipient(auditor)];
  keys.faults.length = 0;
  archive.faults.length = 0;
});
afterEach(() => {
  encryption.to = [];
});

const SECRET = "the launch code is 0000";
const BULK = new Uint8Array(220_000).map((_, i) => (i * 7919) >> 3);

async function recorded(): Promise<LiveSession> {
  const live = await openSession(crypto.randomUUID());
  await live.exchange(SECRET);
  const tape = request();
  acknowledged(await live.session.begin(live.id, alice, tape));
  acknowledged(
    await live.session.respond(tape.x, { status: 200, headers: [], bytes: BULK, end: "complete" }),
  );
  return live;
}

async function sealed(): Promise<LiveSession> {
  const live = await recorded();
  acknowledged(await live.session.end("request"));
  await live.sealed();
  return live;
}

async function verified(live: LiveSession, identity?: string): Promise<Verified> {
  archive.objects.set(SEAL_PUB, utf8(await sealPub()));
  const unseal =
    identity === undefined
      ? undefined
      : unsealWith({ get: async () => keys.stored.get(live.id) }, [identity]);
  return verifyArchive(archive, { now: Date.now(), ...(unseal && { unseal }) }, live.id);
}
const codes = ({ findings }: Verified) => findings.map(({ code }) => code);
const stored = (live: LiveSession) =>
  [...archive.objects].filter(([key]) => key.startsWith(sessionFolder(live.id)));

test("everything recorded is stored as age files to the session's own key, which the auditor alone can open", async () => {
  const live = await sealed();
  const names = stored(live).map(([key]) => key.slice(sessionFolder(live.id).length));
  expect(names.sort()).toEqual([
    "bytes-000000.bin.age",
    "frames-000000.ndjson.zst.age",
    "seal.sigstore.json",
  ]);
  const decrypter = new Decrypter();
  decrypter.addIdentity(auditor);
  const wrapped = keys.stored.get(live.id);
  const own = await decrypter.decrypt(wrapped ?? new Uint8Array(), "text");
  expect(own).toMatch(/^AGE-SECRET-KEY-1[0-9A-Z]+\n$/);
  const opener = new Decrypter();
  opener.addIdentity(own.trim());
  const [, frames] = stored(live).find(([key]) => key.includes("frames-")) ?? [];
  const lines = zstdDecompressSync(await opener.decrypt(frames ?? new Uint8Array())).toString("utf8");
  expect(lines).toContain(SECRET);
  const [, bytes] = stored(live).find(([key]) => key.includes("bytes-")) ?? [];
  expect(await opener.decrypt(bytes ?? new Uint8Array())).toEqual(BULK);
});

test("without an identity all but the frames is verified, and that is said; with one, all is", async () => {
  const live = await sealed();
  const blind = await verified(live);
  expect(codes(blind)).toEqual(["session_sealed"]);
  expect(blind).toMatchObject({ integrity: "VALID", completeness: "COMPLETE", frames: 0 });
  const seeing = await verified(live, auditor);
  expect(seeing).toMatchObject({ integrity: "VALID", completeness: "COMPLETE", findings: [] });
  expect(seeing.frames).toBeGreaterThan(5);
});

test("another's identity opens nothing, and a key that is gone without a word in the log is a finding", async () => {
  const live = await sealed();
  expect(codes(await verified(live, stranger))).toEqual(["session_key_unreadable"]);
  keys.stored.delete(live.id);
  const gone = await verified(live, auditor);
  expect(codes(gone)).toEqual(["session_key_missing"]);
  expect(gone.completeness).toBe("INCOMPLETE");
});

test("ciphertext that was changed is found with and without an identity", async () => {
  const live = await sealed();
  for (const [key, bytes] of stored(live).filter(([key]) => key.endsWith(".age"))) {
    const bent = bytes.slice();
    bent[bent.length - 20] = (bent[bent.length - 20] ?? 0) ^ 1;
    archive.objects.set(key, bent);
    expect(codes(await verified(live))).toContain("segment_altered");
    expect(codes(await verified(live, auditor))).toContain("segment_altered");
    archive.objects.set(key, bytes);
  }
});

test("after the seal the node has neither frames nor bodies, nor whose session it was", async () => {
  const live = await sealed();
  const tables = ["tape", "chunk", "packed", "segment", "head", "pushed", "envelope"];
  for (const table of tables) expect(await live.sql(`SELECT * FROM ${table}`)).toEqual([]);
  const facts = JSON.stringify(await live.sql("SELECT * FROM fact"));
  expect(facts).not.toContain("alice");
  expect(facts).not.toContain("AGE-SECRET-KEY");
  const view = await live.session.view();
  expect(view).toMatchObject({ status: "sealed", exchanges: 2, client: "" });
  expect(view?.principal.subject).toMatch(/^hmac:[0-9a-f]{64}$/);
  await live.forget();
  expect(await live.session.view()).toEqual(view);
  expect(await live.session.begin(live.id, alice, request())).toMatchObject({
    no: { code: "session_ended" },
  });
});

test("whoever a session was of still finds it among one's own, by the pseudonym", async () => {
  const live = await sealed();
  const own = await directoryOf(bindings.DIRECTORY).list(alice.principal);
  expect(own.map(({ session }) => session)).toContain(live.id);
  const others = await directoryOf(bindings.DIRECTORY).list({ ...alice.principal, subject: "mallory" });
  expect(others.map(({ session }) => session)).not.toContain(live.id);
});

test("the journal keeps no line of it in clear, and gives every line back", async () => {
  const live = await openSession(crypto.randomUUID());
  await live.exchange("first");
  await live.exchange(SECRET);
  const rows = await rowsOf(journal(), "SELECT lines FROM batch WHERE session = ?", live.id);
  expect(rows.length).toBeGreaterThan(0);
  const kept = rows.map(({ lines }) => new TextDecoder().decode(lines as ArrayBuffer)).join("");
  expect(kept).not.toContain("launch");
  await live.forget();
  acknowledged(await live.session.end("request"));
  await live.sealed();
  expect(await verified(live, auditor)).toMatchObject({ findings: [], integrity: "VALID" });
});

test.each(["not kept", "kept"] as const)(
  "a put of any object that failed and was %s is put again with the same bytes",
  async (how) => {
    for (const key of [/frames-.*age$/, /bytes-.*age$/, /seal\.sigstore\.json$/]) {
      const live = await recorded();
      archive.faults.push({ key: new RegExp(`${live.id}.*${key.source}`), how, times: 2 });
      acknowledged(await live.session.end("request"));
      await failure(() => runDurableObjectAlarm(live.stub));
      const before = stored(live).map(([key, bytes]) => [key, [...bytes.subarray(0, 400)]]);
      await live.forget();
      await live.sealed();
      const after = new Map(stored(live).map(([key, bytes]) => [key, [...bytes.subarray(0, 400)]]));
      for (const [key, bytes] of before) expect(after.get(String(key))).toEqual(bytes);
      expect(await verified(live, auditor)).toMatchObject({ findings: [], integrity: "VALID" });
    }
  },
);

test.each(["not done", "done"] as const)(
  "no segment is stored before the key is, also when storing it failed and was %s",
  async (how) => {
    const live = await recorded();
    keys.faults.push({ verb: "put", how, times: 2 });
    acknowledged(await live.session.end("request"));
    await failure(() => runDurableObjectAlarm(live.stub));
    expect(stored(live)).toEqual([]);
    await live.forget();
    await live.sealed();
    expect(keys.tried.filter((call) => call === `put ${live.id}`)).toHaveLength(3);
    expect(await verified(live, auditor)).toMatchObject({ findings: [], integrity: "VALID" });
  },
);

test("an object that was emptied and not told so does not begin its sealed session again", async () => {
  const live = await sealed();
  for (const { name } of await live.sql("SELECT name FROM fact"))
    await live.sql("DELETE FROM fact WHERE name = ?", String(name));
  await live.forget();
  expect(await failure(() => live.session.begin(live.id, alice, request()))).toContain("is sealed");
});

test("a session that opened before encryption was configured stays as it began", async () => {
  encryption.to = [];
  const live = await recorded();
  encryption.to = [await identityToRecipient(auditor)];
  await live.forget();
  acknowledged(await live.session.end("request"));
  await live.sealed();
  expect(await verified(live)).toMatchObject({ findings: [], integrity: "VALID" });
  expect(stored(live).some(([key]) => key.endsWith(".age"))).toBe(false);
  expect(keys.stored.has(live.id)).toBe(false);
});

test("the key's name is what the layout says", () => {
  expect(sessionKey("ses_01KAZ00000000000000000000A" as never)).toBe(
    "keys/ses_01KAZ00000000000000000000A.key.age",
  );
});
