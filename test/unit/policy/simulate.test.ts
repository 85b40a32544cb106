/** `steno policy simulate` and `explain --session`, on archives as they lie on disk. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { RecordedDecision } from "#durable/format/decision.ts";
import { sessionKey } from "#durable/format/layout.ts";
import { abridge } from "#durable/format/question/asked.ts";
import type { Question } from "#durable/format/question/question.ts";
import { sha256, toHex, utf8 } from "#durable/proof/bytes.ts";
import { policy } from "#scripts/policy/policy.ts";
import { Archive, type Objects, type Recording } from "../proof/recording.ts";
import { facts, onRef, onRepository } from "./asking.ts";

const top = mkdtempSync(join(tmpdir(), "steno-simulate-"));
afterAll(() => rmSync(top, { recursive: true }));
let said: string[] = [];
let complained: string[] = [];
beforeEach(() => {
  said = [];
  complained = [];
});
const run = (...args: string[]) =>
  policy(args, { env: {}, out: (line) => said.push(line), err: (line) => complained.push(line) });

function write(name: string, objects: Objects): string {
  for (const [key, bytes] of objects) {
    mkdirSync(join(top, name, dirname(key)), { recursive: true });
    writeFileSync(join(top, name, key), bytes);
  }
  return join(top, name);
}

function rules(name: string, text: string): string {
  mkdirSync(join(top, name));
  writeFileSync(join(top, name, "a.cedar"), text);
  return join(top, name);
}

/** An exchange that was decided as `decision` says, and then forwarded or refused. */
function decided(
  recording: Recording,
  asked: RecordedDecision["asked"],
  verdict: "allow" | "deny" = "allow",
): string {
  const x = recording.exchange();
  recording.request(x, "none");
  const said = { policies: ["old"], set: "0".repeat(64), reason: "", denied: [], ...(asked && { asked }) };
  recording.write({ k: "decision", x, verdict, ...said });
  recording.end(x, "c2s", 0);
  recording.respond(x, verdict === "deny");
  recording.end(x, "s2c", 0);
  return x;
}
const asking = (...questions: Question[]) => abridge({ groups: ["developers"], facts, questions });

const SAME = `@id("old") permit(principal in Group::"developers", action, resource);`;
const NEW = `${SAME}
@id("no-tags") @reason("tags are closed") forbid(principal, action == Action::"git.create", resource) when { resource.name like "refs/tags/*" };
@id("main") @hold("leads") forbid(principal, action == Action::"git.push", resource) when { resource.name == "refs/heads/main" };
@id("hide") @mask("email") permit(principal, action == Action::"git.fetch", resource);`;

let archive: string;
let folder: string;
let later: string;
let objects: Objects;
let tagged: string;
let same: string;
let other: string;

beforeAll(async () => {
  const whole = new Archive();
  const one = whole.session(1);
  await one.begin();
  decided(one, asking(onRepository("git.refs")));
  decided(one, asking(onRepository("git.fetch")));
  tagged = decided(one, asking(onRef("git.push", "x"), onRef("git.create", "refs/tags/v1")));
  decided(one, asking(onRef("git.create", "refs/tags/v2")), "deny");
  decided(one, asking(onRef("git.create", "refs/heads/a")), "deny");
  decided(one, { omitted: 4000 });
  decided(one, undefined);
  await one.close();
  const two = whole.session(2);
  await two.begin();
  decided(two, asking(onRef("git.push", "refs/heads/main")));
  decided(two, asking({ ...onRepository("git.refs"), action: "git.teleport" as "git.refs" }));
  await two.close();
  objects = whole.objects;
  archive = write("archive", objects);
  folder = one.folder;
  later = two.folder;
  same = rules("same", SAME);
  other = rules("new", NEW);
});

test("a candidate set is asked what was asked then, and every decision that would be another is counted with examples", async () => {
  expect(await run("simulate", archive, "--policies", other)).toBe(1);
  const at = "2026-11-22T07:00:00";
  const lines = said.map((line) => line.replaceAll(/T07:00:00\.\d{3}Z/g, "T07:00:00"));
  expect(lines.filter((line) => !line.startsWith("    "))).toEqual([
    "1 × allow → allow, mask email, by hide, old (was old)",
    `  ${at} u-1: git.fetch payments/app: permitted by policy hide; permitted by policy old`,
    "1 × allow → deny, by no-tags (was old)",
    `  ${at} u-1: git.push payments/app/x, git.create payments/app/refs/tags/v1: tags are closed`,
    "1 × allow → hold for leads, by main (was old)",
    `  ${at} u-1: git.push payments/app/refs/heads/main: forbidden by policy main`,
    "1 × deny → allow, by old (was old)",
    `  ${at} u-1: git.create payments/app/refs/heads/a: permitted by policy old`,
    "2 decisions do not say what was asked: recorded before that was kept, or too long for it",
    "1 decisions answer questions that this version's schema does not know",
    expect.stringMatching(/^4 of 6 decisions in 2 sessions would be others, by SHA-256 [0-9a-f]{64}$/),
  ]);
  expect(complained).toEqual([]);
});

test("the same sessions and policies give the same answer to the byte, whole or session by session", async () => {
  await run("simulate", archive, "--policies", other, "--json");
  await run("simulate", archive, "--policies", other, "--json");
  expect(said[1]).toBe(said[0]);
  said = [];
  expect(await run("simulate", join(archive, folder), "--policies", other, "--json", "--examples", "0")).toBe(
    1,
  );
  expect(JSON.parse(said[0] ?? "")).toMatchObject({
    sessions: 1,
    decisions: 7,
    unasked: 2,
    unknown: 0,
    changed: 3,
  });
  expect(JSON.parse(said[0] ?? "").changes[0].examples).toEqual([]);
});

test("a set by which nothing would change exits 0, as does a day after everything", async () => {
  expect(await run("simulate", join(archive, later), "--policies", same)).toBe(0);
  expect(said.at(-1)).toMatch(/^0 of 1 decisions in 1 sessions/);
  expect(await run("simulate", archive, "--policies", other, "--since", "2026-11-23")).toBe(0);
  expect(said.at(-1)).toMatch(/^0 of 0 decisions in 0 sessions/);
});

test("explain says of a recorded exchange what each policy makes of each of its questions", async () => {
  expect(await run("explain", "--session", archive, "--exchange", tagged, "--policies", other)).toBe(1);
  expect(said).toContain("git.create on payments/app/refs/tags/v1");
  expect(said).toContain("  applies: forbid no-tags (a.cedar:2): tags are closed");
  expect(said.at(-1)).toBe("deny: tags are closed");
  const strange = `exc_${"0".repeat(26)}`;
  await expect(
    run("explain", "--session", archive, "--exchange", strange, "--policies", other),
  ).rejects.toThrow(`holds no decision on ${strange}`);
});

test("what is altered is said and left out, and the exit says that not all could be read", async () => {
  const key = [...objects.keys()].find((name) => name.startsWith(folder) && name.includes("frames-")) ?? "";
  const bent = new Map(objects).set(
    key,
    Uint8Array.from(objects.get(key) ?? [], (byte, n) => (n === 40 ? byte ^ 1 : byte)),
  );
  expect(await run("simulate", write("bent", bent), "--policies", other)).toBe(2);
  expect(complained[0]).toContain(`warning: segment_altered ${key}`);
  expect(said.at(-1)).toMatch(/^1 of 1 decisions in 1 sessions/);
});

test("encrypted sessions are read with an auditor's identity, and without it named as unread", async () => {
  const own = await generateX25519Identity();
  const auditor = await generateX25519Identity();
  const encrypted = async (bytes: Uint8Array, identity: string) => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(identity));
    return encrypter.encrypt(bytes);
  };
  const sealed: Objects = new Map();
  const seal = JSON.parse(Buffer.from(objects.get(`${folder}seal.sigstore.json`) ?? []).toString());
  const statement = JSON.parse(Buffer.from(seal.dsseEnvelope.payload, "base64").toString());
  for (const entry of statement.predicate.segments) {
    const age = await encrypted(objects.get(`${folder}${entry.name}`) ?? new Uint8Array(), own);
    entry.name += ".age";
    entry.bytes = age.byteLength;
    entry.sha256 = toHex(sha256(age));
    sealed.set(`${folder}${entry.name}`, new Uint8Array(age));
  }
  // Who signed it is not what simulation looks at.
  seal.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  sealed.set(`${folder}seal.sigstore.json`, utf8(JSON.stringify(seal)));
  const keys = new Map([
    [sessionKey(statement.predicate.session), new Uint8Array(await encrypted(utf8(`${own}\n`), auditor))],
  ]);
  const [at, keysAt, identity, stranger] = [
    write("sealed", sealed),
    write("keys", keys),
    join(top, "auditor"),
    join(top, "other"),
  ];
  writeFileSync(identity, `${auditor}\n`);
  writeFileSync(stranger, `${await generateX25519Identity()}\n`);

  expect(await run("simulate", at, "--policies", other)).toBe(2);
  expect(complained).toEqual([
    expect.stringContaining(`session_encrypted ${folder}: it is encrypted: give --identity`),
  ]);
  expect(await run("simulate", at, "--policies", other, "--identity", stranger, "--keys", keysAt)).toBe(2);
  expect(complained[1]).toContain("its key is not for this identity");
  expect(await run("simulate", at, "--policies", other, "--identity", identity)).toBe(2);
  expect(complained[2]).toContain("its key is not there");
  said = [];
  expect(
    await run("simulate", at, "--policies", other, "--identity", identity, "--keys", keysAt, "--json"),
  ).toBe(1);
  expect(JSON.parse(said[0] ?? "")).toMatchObject({ sessions: 1, decisions: 7, changed: 3 });
  await expect(run("simulate", at, "--policies", other, "--keys", keysAt)).rejects.toThrow("--identity");
});

test("a place without sessions, a day that is none and policies that do not load are errors", async () => {
  mkdirSync(join(top, "empty"));
  await expect(run("simulate", join(top, "empty"), "--policies", other)).rejects.toThrow("no sealed session");
  await expect(run("simulate", join(top, "none"), "--policies", other)).rejects.toThrow("cannot be read");
  await expect(run("simulate", archive, "--policies", other, "--since", "yesterday")).rejects.toThrow(
    "--since yesterday",
  );
  await expect(run("simulate", archive, "--policies", join(top, "none"))).rejects.toThrow("cannot be read");
  await expect(run("simulate", "--policies", other)).rejects.toThrow("needs the path");
  expect(await run("simulate", archive, "--policies", rules("broken", "permit("))).toBe(2);
});
