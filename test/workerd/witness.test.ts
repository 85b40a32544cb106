// The ledger and its witnesses: cosignatures, a quorum, each fault between them, and what contradicts the ledger.
import { runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { CHECKPOINT } from "#durable/format/layout.ts";
import { type OpenedCheckpoint, openCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { openBundle } from "#durable/proof/seal.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";
import { memoryWitness } from "#test/support/memory-witness.ts";
import { failure, rowsOf } from "./live-session.ts";
import { archive, clock, witnesses } from "./main.ts";
import {
  append,
  findings,
  forget,
  keys,
  ledger,
  newest,
  now,
  one,
  published,
  stored,
  stub,
  two,
  withWitnesses,
} from "./witnessed-ledger.ts";

withWitnesses();

describe("checkpoints", () => {
  test("bear the cosignatures of all witnesses: the newest, its locked copy, and what every bundle brings", async () => {
    await published(2);
    expect(await newest()).toEqual({ size: 2, by: ["w1.example", "w2.example"] });
    const [copy = ""] = keys("log/checkpoints/");
    expect(stored(copy)).toBe(stored(CHECKPOINT));
    const bundle = openBundle(archive.objects.get("log/entry/1.sigstore.json") ?? new Uint8Array());
    if (typeof bundle === "string") throw new Error(bundle);
    const [entry] = bundle.verificationMaterial.tlogEntries;
    expect(entry.inclusionProof.checkpoint.envelope).toBe(stored(CHECKPOINT));
    await published(300);
    await published(1);
    expect(await newest()).toEqual({ size: 303, by: ["w1.example", "w2.example"] });
    expect(await findings()).toEqual([]);
  });

  test("ten minutes of silence are cosigned as well", async () => {
    await published(1);
    clock.ahead += 601_000;
    await runDurableObjectAlarm(stub());
    expect(keys("log/checkpoints/")).toHaveLength(2);
    expect(await newest()).toEqual({ size: 1, by: ["w1.example", "w2.example"] });
    expect(await findings()).toEqual([]);
  });

  test("what opens after one that enough have cosigned says so; one that lacks a witness is not what it names", async () => {
    await published(1);
    expect(await ledger().newest()).toMatchObject({ size: 1 });
    two.mood = "down";
    await published(1);
    expect(await ledger().newest()).toMatchObject({ size: 1 });
    two.mood = "well";
    await published(1);
    expect(await ledger().newest()).toMatchObject({ size: 3 });
  });
});

describe("a witness that cannot be asked stops nothing", () => {
  test.each([
    ["down", "down"],
    ["its answer lost after it had cosigned", "lost"],
    ["hanging", "hangs"],
    ["answering 500", { status: 500, body: "" }],
    ["not knowing the log", { status: 404, body: "" }],
    ["answering nonsense", { status: 200, body: "hello\n" }],
    ["answering with the line of another", { status: 200, body: "\u2014 w9.example AAAAAAAAAAAAAAAA\n" }],
    ["answering 409 without a size", { status: 409, body: "what\n" }],
    ["answering without end", { status: 200, body: "x".repeat(100_000) }],
    ["sending elsewhere", { status: 307, body: "" }],
  ] as const)(
    "%s: the checkpoint has the other's cosignature, and the lack of the quorum is found",
    async (_, mood) => {
      await published(1);
      two.mood = mood;
      await published(2);
      expect(await newest()).toEqual({ size: 3, by: ["w1.example"] });
      const [lacking] = keys("log/checkpoints/3-");
      expect(await findings()).toEqual([`checkpoint_uncosigned ${lacking}`]);
      two.mood = "well";
      await published(1);
      expect(await newest()).toEqual({ size: 4, by: ["w1.example", "w2.example"] });
      expect(await findings()).toEqual([`checkpoint_uncosigned ${lacking}`]);
      expect(await verifyArchive(archive, { now: Date.now() })).toMatchObject({ completeness: "DEGRADED" });
    },
  );

  test("a quorum of one is met by either", async () => {
    witnesses.threshold = 1;
    one.mood = "down";
    await published(1);
    expect(await newest()).toEqual({ size: 1, by: ["w2.example"] });
    expect(await findings()).toEqual([]);
  });

  test("it is left alone for a while, so that it does not hold up every checkpoint", async () => {
    const { keys } = await logSigner();
    const slow = await memoryWitness("w3.example", [keys.ed25519], now, 60_000);
    witnesses.all = [one.client, slow.client];
    await published(1);
    slow.mood = "hangs";
    const before = slow.asked.length;
    await published(1);
    await published(1);
    await published(1);
    expect(slow.asked.length).toBe(before + 1);
    slow.mood = "well";
    clock.ahead += 61_000;
    await published(1);
    const { cosigned } = (await openCheckpoint(stored(CHECKPOINT), keys, [slow.key])) as OpenedCheckpoint;
    expect(cosigned).toHaveLength(1);
  });

  test("one that comes back after more than a tile is given the proof from what it saw, out of the archive's tiles", async () => {
    await published(5);
    two.mood = "down";
    await published(260);
    await published(300);
    await forget();
    two.mood = "well";
    await published(1);
    expect(await newest()).toEqual({ size: 566, by: ["w1.example", "w2.example"] });
    expect(two.seen.get(ORIGIN)?.size).toBe(566);
  });

  test("with a damaged tile there is no proof for it, and the rest goes on", async () => {
    await published(5);
    two.mood = "down";
    await published(600);
    archive.objects.set("log/tile/0/000", new Uint8Array(256 * 32));
    two.mood = "well";
    await published(1);
    expect(await newest()).toEqual({ size: 606, by: ["w1.example"] });
    await published(1);
    expect(await failure(() => ledger().publish())).toBe("");
  });
});

/** Every put of a round that comes after the witnesses, and the row that remembers what they said. */
describe("a failure after the witnesses were asked", () => {
  for (const how of ["not kept", "kept"] as const)
    for (const step of ["log/checkpoint$", "log/checkpoints/", "log/entry/1"])
      for (const restart of [false, true])
        test(`of ${step}, ${how}, ${restart ? "then a restart" : "then another try"}: the same note is put again`, async () => {
          await published(1);
          archive.faults.push({ key: new RegExp(`^${step}`), how, times: 1 });
          await append(1);
          expect(await failure(() => ledger().publish())).not.toBe("");
          if (restart) await forget();
          two.mood = "down";
          await ledger().publish();
          expect(await newest()).toEqual({ size: 2, by: ["w1.example", "w2.example"] });
          expect(await findings()).toEqual([]);
        });

  test("killed after they cosigned and before that was kept: they are asked again, and cosign again", async () => {
    await published(1);
    const abort = "BEGIN SELECT RAISE(ABORT, 'killed'); END";
    await rowsOf(stub(), `CREATE TRIGGER killed BEFORE UPDATE OF note ON checkpoint ${abort}`);
    await append(1);
    expect(await failure(() => ledger().publish())).toContain("killed");
    expect(two.seen.get(ORIGIN)?.size).toBe(2);
    expect((await newest()).size).toBe(1);
    await rowsOf(stub(), "DROP TRIGGER killed");
    await forget();
    await append(1);
    await ledger().publish();
    expect(await newest()).toEqual({ size: 3, by: ["w1.example", "w2.example"] });
    expect(await findings()).toEqual([]);
  });

  test("an answer that was lost is not asked for again when the note went out without it", async () => {
    await published(1);
    two.mood = "lost";
    archive.faults.push({ key: /^log\/checkpoints\//, how: "kept", times: 1 });
    await append(1);
    expect(await failure(() => ledger().publish())).not.toBe("");
    two.mood = "well";
    await ledger().publish();
    expect(await newest()).toEqual({ size: 2, by: ["w1.example"] });
    await published(1);
    expect(await newest()).toEqual({ size: 3, by: ["w1.example", "w2.example"] });
  });
});

describe("a witness that knows more of the log, or another", () => {
  const REFUSED = "restore the ledger that wrote this archive";

  async function refuses(why: RegExp): Promise<void> {
    const before = new Map(archive.objects);
    await append(1);
    expect(await failure(() => ledger().publish())).toMatch(why);
    expect(await failure(() => append(1))).toContain(REFUSED);
    expect(archive.objects).toEqual(before);
  }

  test("than a restored backup whose archive was cut back as well: nothing is signed", async () => {
    await published(2);
    const [row] = await rowsOf(stub(), "SELECT * FROM checkpoint");
    const objects = new Map(archive.objects);
    await published(1);
    await rowsOf(stub(), "DELETE FROM entry WHERE idx = 2; DELETE FROM checkpoint");
    const names = ["size", "at", "start", "root", "edge", "note", "published"];
    await rowsOf(
      stub(),
      "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...names.map((name) => row?.[name] ?? null),
    );
    archive.objects.clear();
    for (const [key, bytes] of objects) archive.objects.set(key, bytes);
    await forget();
    await append(1);
    expect(await failure(() => ledger().publish())).toMatch(
      /witness w1.example: it has cosigned 3 entries, the ledger has signed 2/,
    );
    expect(await rowsOf(stub(), "SELECT size FROM checkpoint WHERE published = 0")).toEqual([]);
    expect(archive.objects).toEqual(objects);
  });

  test("than a ledger and an archive that begin anew under an old name", async () => {
    await published(2);
    await rowsOf(stub(), "DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
    archive.objects.clear();
    await forget();
    await refuses(/witness w1.example: it has cosigned 2 entries, the ledger has signed 0/);
  });

  test("of the same size: another tree", async () => {
    await published(2);
    const seen = two.seen.get(ORIGIN);
    if (seen) two.seen.set(ORIGIN, { ...seen, root: new Uint8Array(32) });
    await forget();
    await refuses(/witness w2.example: it has cosigned another tree of 2 entries/);
  });

  test("of a smaller size: another tree", async () => {
    await published(2);
    two.mood = "down";
    await published(2);
    const seen = two.seen.get(ORIGIN);
    if (seen) two.seen.set(ORIGIN, { ...seen, root: new Uint8Array(32) });
    two.mood = "well";
    await append(1);
    expect(await failure(() => ledger().publish())).toMatch(
      /w2.example: it has cosigned another tree of 2 entries/,
    );
    expect((await newest()).size).toBe(4);
  });

  test("and is taken out of the configuration: the ledger goes on without it", async () => {
    await published(1);
    two.mood = { status: 409, body: "99\n" };
    await append(1);
    expect(await failure(() => ledger().publish())).toContain("take it out of the configuration");
    witnesses.all = [one.client];
    witnesses.threshold = 1;
    await forget();
    await published(1);
    expect(await newest()).toEqual({ size: 3, by: ["w1.example"] });
    expect(await findings()).toEqual([]);
  });
});
