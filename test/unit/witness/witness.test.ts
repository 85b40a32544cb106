/** `steno witness` as a log talks to it: what it cosigns, what it refuses, and what it remembers after kill -9. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type NoteKey, readVkey, writeVkey } from "#durable/proof/log/note.ts";
import { readCosignature, readSize, readSubmission, writeSubmission } from "#durable/proof/log/submission.ts";
import { main } from "#scripts/steno.ts";
import { Witness } from "#scripts/witness/cosign.ts";
import { makeKey, readCosigner } from "#scripts/witness/keys.ts";
import { WitnessState } from "#scripts/witness/state.ts";
import { GrowingLog } from "#test/support/growing-log.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";

const root = mkdtempSync(join(tmpdir(), "steno-witness-"));
afterAll(() => rmSync(root, { recursive: true }));
const signer = await logSigner();
const log = new GrowingLog(signer, 300);
const fork = new GrowingLog(signer, 300, 10);
let made = 0;

function witness(now = () => 1_800_000_000, state = join(root, `state-${made++}`)) {
  mkdirSync(state, { recursive: true });
  for (const [name, kind] of [
    ["ed.pem", "ed25519"],
    ["pq.pem", "ml-dsa-44"],
  ] as const)
    makeKey(join(root, name), kind);
  const cosigners = [
    readCosigner(join(root, "ed.pem"), "ed25519", "w.example"),
    readCosigner(join(root, "pq.pem"), "ml-dsa-44", "w.example"),
  ];
  const logs = [signer.keys.ed25519, signer.keys.mlDsa];
  return { cosigners, state, asked: new Witness({ cosigners, logs, state: new WitnessState(state), now }) };
}

const signedText = (size: number) => ({
  text: `${ORIGIN}\n${size}\n${log.root(size)}\n`,
  checkpoint: log.checkpoint(size),
});

describe("a witness", () => {
  test("cosigns a log from its first checkpoint on, with both of its keys, and each time it grows", async () => {
    const { asked, cosigners } = witness();
    for (const [old, size] of [
      [0, 1],
      [1, 7],
      [7, 7],
      [7, 255],
      [255, 300],
    ] as const) {
      const { status, body } = await asked.addCheckpoint(await log.submission(old, size));
      expect(status).toBe(200);
      for (const { key } of cosigners)
        expect(await readCosignature(body, signedText(size), key)).toMatchObject({
          line: expect.stringContaining("w.example"),
        });
    }
  });

  test("refuses a fork, at a larger size with 422 and at the same size with 409, and goes on with the true log", async () => {
    const { asked } = witness();
    await asked.addCheckpoint(await log.submission(0, 20));
    expect(await asked.addCheckpoint(await fork.submission(20, 40))).toMatchObject({ status: 422 });
    expect(await asked.addCheckpoint(await fork.submission(20, 20))).toMatchObject({
      status: 409,
      body: "20\n",
    });
    expect(await asked.addCheckpoint(await log.submission(20, 40))).toMatchObject({ status: 200 });
  });

  test("refuses a smaller tree, and an old size that is not the one it saw, with 409 and that size", async () => {
    const { asked } = witness();
    await asked.addCheckpoint(await log.submission(0, 20));
    const refused = { status: 409, type: "text/x.tlog.size", body: "20\n" };
    expect(await asked.addCheckpoint(await log.submission(0, 10))).toEqual(refused);
    expect(await asked.addCheckpoint(await log.submission(10, 30))).toEqual(refused);
    expect(await asked.addCheckpoint(await log.submission(30, 30))).toEqual(refused);
    expect(readSize(refused.body)).toBe(20);
  });

  test("answers 400 to what is malformed, 404 to a log it does not know, 403 to what the log did not sign", async () => {
    const { asked } = witness();
    const good = await log.submission(0, 20);
    for (const bad of [
      "",
      "old 0\n",
      good.replace("old 0", "old 00"),
      good.replace("old 0", "old -1"),
      good.slice(0, -2),
    ])
      expect(await asked.addCheckpoint(bad)).toMatchObject({ status: 400 });
    expect(await asked.addCheckpoint(await log.submission(21, 20))).toMatchObject({ status: 400 });
    const other = new GrowingLog(await logSigner("other.example"), 20);
    expect(await asked.addCheckpoint(await other.submission(0, 20))).toMatchObject({ status: 404 });
    const unsigned = good.replaceAll(/(\u2014 \S+ \S{20})(.)/gu, (_, a, b) => `${a}${b === "A" ? "B" : "A"}`);
    expect(await asked.addCheckpoint(unsigned)).toMatchObject({ status: 403 });
    expect(await asked.addCheckpoint(good)).toMatchObject({ status: 200 });
  });

  test("refuses a proof beside an old size of zero, and one of more hashes than there can be", async () => {
    const { asked } = witness();
    const extra = await log.submission(0, 20, log.proof(5, 20));
    expect(await asked.addCheckpoint(extra)).toMatchObject({ status: 422 });
    const many = await log.submission(
      0,
      20,
      Array.from({ length: 64 }, () => new Uint8Array(32)),
    );
    expect(await asked.addCheckpoint(many)).toMatchObject({ status: 400 });
  });

  test("of two that come at once from the same size, only one is cosigned", async () => {
    const { asked } = witness();
    await asked.addCheckpoint(await log.submission(0, 20));
    const both = await Promise.all([
      asked.addCheckpoint(await log.submission(20, 40)),
      asked.addCheckpoint(await fork.submission(20, 41)),
      asked.addCheckpoint(await log.submission(20, 30)),
    ]);
    expect(both.map(({ status }) => status)).toEqual([200, 409, 409]);
  });

  test("never says it had seen less than it had, when its clock is set back", async () => {
    let now = 1_800_000_000;
    const { asked, cosigners } = witness(() => now);
    await asked.addCheckpoint(await log.submission(0, 20));
    now -= 3_600;
    const { body } = await asked.addCheckpoint(await log.submission(20, 30));
    const read = await readCosignature(body, signedText(30), cosigners[0]?.key as NoteKey);
    if (typeof read === "string") throw new Error(read);
    const signature = Buffer.from(read.line.split(" ")[2] ?? "", "base64");
    expect(Number(signature.readBigUInt64BE(4))).toBe(1_800_000_000);
  });

  test("cosigns nothing when what it remembers cannot be read, or is of another log", async () => {
    const { asked, state } = witness();
    await asked.addCheckpoint(await log.submission(0, 20));
    const [name = ""] = readdirSync(state);
    const path = join(state, name);
    const kept = readFileSync(path, "utf8");
    for (const bad of [
      "",
      "{}",
      kept.slice(0, 40),
      kept.replace("20", "-1"),
      kept.replace(ORIGIN, "other.example"),
    ]) {
      writeFileSync(path, bad);
      await expect(asked.addCheckpoint(await log.submission(20, 30))).rejects.toThrow(path);
    }
    writeFileSync(path, kept);
    expect(await asked.addCheckpoint(await log.submission(20, 30))).toMatchObject({ status: 200 });
  });

  test("cosigns nothing when it cannot keep it, and has not moved on", async () => {
    const { asked, state } = witness();
    await asked.addCheckpoint(await log.submission(0, 20));
    const [name = ""] = readdirSync(state);
    // A folder in the way of the next file: its opening fails.
    mkdirSync(join(state, `${name}.new`));
    await expect(asked.addCheckpoint(await log.submission(20, 30))).rejects.toThrow();
    rmSync(join(state, `${name}.new`), { recursive: true });
    expect(await asked.addCheckpoint(await log.submission(20, 25))).toMatchObject({ status: 200 });
  });

  test("whatever is sent in whatever order, it cosigns one history that only grows", async () => {
    const step = fc.record({ old: fc.nat(30), size: fc.integer({ min: 1, max: 30 }), forked: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { asked } = witness();
        let last = 0;
        let history: string | undefined;
        for (const { old, size, forked } of steps) {
          const { status } = await asked.addCheckpoint(await (forked ? fork : log).submission(old, size));
          if (status !== 200) continue;
          expect(old).toBe(last);
          expect(size).toBeGreaterThanOrEqual(last);
          last = size;
          // The two logs are one below ten entries.
          if (size <= 10) continue;
          history ??= String(forked);
          expect(String(forked)).toBe(history);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("bodies", () => {
  test("what is written is read again, and no other text is", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const submission = fc.record({
      old: fc.nat(),
      proof: fc.array(hash, { maxLength: 63 }),
      note: fc.string(),
    });
    fc.assert(
      fc.property(submission, ({ old, proof, note }) => {
        const read = readSubmission(writeSubmission({ old, proof, note }));
        expect(read).toEqual({ old, proof: proof.map((each) => new Uint8Array(each)), note });
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        const read = readSubmission(text);
        if (typeof read !== "string") expect(writeSubmission(read)).toBe(text);
      }),
    );
  });

  test("an answer counts only when its key signed this checkpoint, once; other keys' lines are left out", async () => {
    const { asked, cosigners } = witness();
    const [ed, pq] = cosigners.map(({ key }) => key) as [NoteKey, NoteKey];
    const { body } = await asked.addCheckpoint(await log.submission(0, 20));
    const read = (answer: string, size: number, key: NoteKey) =>
      readCosignature(answer, signedText(size), key);
    expect(await read(body, 20, ed)).toEqual({ line: `${body.split("\n")[0]}\n` });
    expect(await read(body, 20, pq)).toEqual({ line: `${body.split("\n")[1]}\n` });
    expect(await read(body, 21, ed)).toContain("does not hold");
    expect(await read(`${body}${body}`, 20, ed)).toContain("two signatures");
    expect(await read("", 20, ed)).toContain("not of signature lines");
    expect(await read("\n\n", 20, ed)).toContain("not of signature lines");
    expect(await read(`x\n\n${body}`, 20, ed)).toContain("not of signature lines");
    expect(await read(body, 20, signer.keys.ed25519)).toContain("no signature of its key");
    for (let at = 12; at < body.indexOf("\n"); at++) {
      const bent = `${body.slice(0, at)}${body[at] === "B" ? "C" : "B"}${body.slice(at + 1)}`;
      expect(typeof (await read(bent, 20, ed))).toBe("string");
    }
  });

  test("a size is read only as it is written", () => {
    expect(["7\n", "0\n"].map(readSize)).toEqual([7, 0]);
    expect(["7", "07\n", "-1\n", "\n", "7\n\n", "1e3\n", "99999999999999999999\n"].map(readSize)).toEqual(
      Array.from({ length: 7 }, () => undefined),
    );
  });
});

describe("steno witness", () => {
  const STENO = join(import.meta.dirname, "../../../scripts/steno.ts");

  async function start(directory: string, ...more: string[]) {
    const args = [
      "witness",
      "--name",
      "w.example",
      "--key",
      join(directory, "key.pem"),
      "--state",
      join(directory, "state"),
    ];
    const logs = [signer.keys.ed25519, signer.keys.mlDsa].flatMap((key) => ["--log", writeVkey(key)]);
    const child = spawn(process.execPath, [STENO, ...args, ...logs, "--listen", "127.0.0.1:0", ...more]);
    const said: string[] = [];
    child.stderr.on("data", (text) => said.push(String(text)));
    let url = "";
    for await (const line of createInterface(child.stdout)) {
      said.push(line);
      url = /^listening (http:\S+)$/.exec(line)?.[1] ?? "";
      if (url !== "") break;
    }
    return { child, url, said, ended: once(child, "close") };
  }
  const post = (url: string, body: string, path = "/add-checkpoint") =>
    fetch(`${url}${path}`, { method: "POST", body });

  test("killed at any moment it remembers what it cosigned: never a fork, never a smaller tree", async () => {
    const directory = join(root, "killed");
    mkdirSync(directory);
    let cosigned = 0;
    for (let round = 0; round < 6; round++) {
      const { child, url, said, ended } = await start(directory);
      expect(said.at(-1), said.join("\n")).toContain("listening");
      // A reply may have been lost with the process; 409 says what it saw.
      const asked = await post(url, await log.submission(0, 1));
      const saw = asked.status === 409 ? Number(await asked.text()) : 1;
      expect(saw).toBeGreaterThanOrEqual(cosigned);
      cosigned = saw;
      expect((await post(url, await fork.submission(Math.max(cosigned, 11), 290))).status).not.toBe(200);
      setTimeout(() => child.kill("SIGKILL"), 20 + 25 * round);
      while (cosigned < 280) {
        const sent = await post(url, await log.submission(cosigned, cosigned + 1)).catch(() => undefined);
        if (sent?.status !== 200) break;
        cosigned += 1;
      }
      child.kill("SIGKILL");
      await ended;
    }
    expect(cosigned).toBeGreaterThan(6);
  });

  test("says its vkey, answers HTTP as the specification has it, stops at SIGTERM, and one process has its state", async () => {
    const directory = join(root, "http");
    mkdirSync(directory);
    const { child, url, said, ended } = await start(directory, "--pq-key", join(directory, "pq.pem"));
    const vkeys = said.filter((line) => line.startsWith("witness ")).map((line) => readVkey(line.slice(8)));
    expect(vkeys).toMatchObject([{ type: 4, name: "w.example" }, { type: 6 }]);
    expect(said).toContain(`log ${ORIGIN}: never cosigned`);
    expect(statSync(join(directory, "key.pem")).mode & 0o777).toBe(0o600);
    const answer = await post(url, await log.submission(0, 20));
    expect(answer.status).toBe(200);
    expect(await readCosignature(await answer.text(), signedText(20), vkeys[0] as NoteKey)).toHaveProperty(
      "line",
    );
    const conflict = await post(url, await log.submission(0, 20), "/any/prefix/add-checkpoint");
    expect([conflict.status, conflict.headers.get("content-type")]).toEqual([409, "text/x.tlog.size"]);
    expect((await post(url, "x".repeat(600_000))).status).toBe(413);
    expect((await fetch(`${url}/add-checkpoint`)).status).toBe(405);
    expect((await post(url, "", "/")).status).toBe(404);
    const second = await start(directory);
    await second.ended;
    expect(second.said.join("")).toContain("another steno witness");
    child.kill("SIGTERM");
    expect((await ended)[0]).toBe(0);
    rmSync(join(directory, "state"), { recursive: true });
    const forgetful = await start(directory);
    await forgetful.ended;
    expect(forgetful.said.join("")).toContain("needs another key");
  });

  test("says what is wrong with how it was called", async () => {
    for (const args of [
      [],
      ["--name", "w", "--key", "k", "--state", "s"],
      ["--name", "a b", "--key", "k", "--state", "s", "--log", "x"],
    ])
      expect(await main(["witness", ...args])).toBe(2);
    const named = ["--name", "w", "--key", join(root, "no.pem"), "--state", join(root, "no")];
    const [, ed] = [0, writeVkey((witness().cosigners[0] as { key: NoteKey }).key)];
    expect(await main(["witness", ...named, "--log", ed])).toBe(2);
    expect(
      await main(["witness", ...named, "--log", writeVkey(signer.keys.ed25519), "--listen", "nowhere"]),
    ).toBe(2);
  });
});
