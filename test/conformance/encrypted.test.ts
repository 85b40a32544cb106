// A node that encrypts to an auditor: what stock age and zstdcat read, what nobody else does, and what kill -9 leaves.
import { execFileSync } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { sessionFolder, sessionKey } from "#durable/format/layout.ts";
import type { Verified } from "#durable/proof/verify/archive.ts";
import type { GitClient } from "#test/support/git-client.ts";
import { endSessions, type GitSite, startGitSite } from "#test/support/git-site.ts";
import { workspace } from "#test/support/servers/children.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { cli } from "#test/support/steno.ts";

const home = workspace("auditor");
const auditors = ["first", "second"].map((name) => {
  const path = join(home.path, name);
  execFileSync("age-keygen", ["-o", path], { stdio: "ignore" });
  const recipient = execFileSync("age-keygen", ["-y", path], { encoding: "utf8" }).trim();
  return { path, recipient };
});
const [first, second] = auditors;

let site: GitSite;
let client: GitClient;
/** What nobody but an auditor may read: a branch's name, and bytes that do not compress. */
const MARK = `confidential-${randomBytes(6).toString("hex")}`;
let pushed: Buffer;
/** Files of the node's state that had the mark in them while the session was open. */
let during: readonly string[];

beforeAll(async () => {
  site = await startGitSite({
    evidence: { encrypt_to: [first?.recipient] },
    session: { cut_seconds: 1, head_seconds: 2 },
  });
  await tinyRepository(join(site.server.root, "app.git"));
  client = await site.client();
  const directory = client.fresh();
  await client.git("clone", "-q", site.url("app.git"), directory);
  await client.commit(directory, "blob.bin", randomBytes(300_000));
  await client.git("-C", directory, "push", "-q", "origin", `HEAD:refs/heads/${MARK}`);
  const bodies = site.tap.passed.map((one) => one.body());
  pushed = bodies.find((body) => body.length > 250_000) ?? Buffer.alloc(0);
  during = holding(join(site.node.directory, "state"), Buffer.from(MARK));
  await ended();
});
afterAll(async () => {
  await site?.stop();
  home.remove();
});

const ended = async () =>
  endSessions(site.node, await site.oidc.token({ sub: "dave", audience: "steno-console" }));

const sessionIds = (): SessionId[] =>
  readdirSync(join(site.node.archive, "sessions"), { recursive: true, encoding: "utf8" }).flatMap(
    (path) => /(ses_[0-9A-Z]{26})$/.exec(path)?.[1] ?? [],
  ) as SessionId[];
const keysRoot = () => `${site.node.archive}-keys`;
const verify = async (...flags: string[]) => {
  const { code, out } = await site.node.cli("verify", site.node.archive, "--json", ...flags);
  const { findings, ...verified } = JSON.parse(out) as Verified;
  return { ...verified, exit: code, codes: [...new Set(findings.map(({ code }) => code))] };
};

/** Every regular file below a directory that holds these bytes. */
function holding(root: string, bytes: Buffer): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => existsSync(path) && readFileSync(path).includes(bytes));
}

test("stock age and zstdcat read every frame, with the auditor's identity", async () => {
  const [session = "" as SessionId] = sessionIds();
  const own = join(home.path, "session.key");
  execFileSync("age", ["-d", "-i", first?.path ?? "", "-o", own, join(keysRoot(), sessionKey(session))]);
  const folder = join(site.node.archive, sessionFolder(session));
  const frames = readdirSync(folder).filter((name) => name.startsWith("frames-"));
  expect(frames.length).toBeGreaterThan(0);
  const lines = frames
    .sort()
    .map((name) =>
      execFileSync("sh", ["-c", `age -d -i "$0" "$1" | zstdcat`, own, join(folder, name)], {
        encoding: "utf8",
        maxBuffer: 1 << 26,
      }),
    )
    .join("");
  expect(lines).toMatch(/^\{"v":1,"seq":0,.*"k":"session.start"/);
  expect(lines).toContain(MARK);
  const bytes = readdirSync(folder).filter((name) => name.startsWith("bytes-"));
  const raw = Buffer.concat(
    bytes
      .sort()
      .map((name) => execFileSync("age", ["-d", "-i", own, join(folder, name)], { maxBuffer: 1 << 26 })),
  );
  expect(raw.includes(pushed.subarray(1000, 200_000))).toBe(true);
});

test("what was recorded is in no file of the archive, of the keys or, once objects rest, of the node's state", async () => {
  expect(during.length).toBeGreaterThan(0);
  const samples = [Buffer.from(MARK), pushed.subarray(pushed.length >> 1, (pushed.length >> 1) + 32)];
  const roots = [site.node.archive, keysRoot(), join(site.node.directory, "state")];
  const found = () => roots.flatMap((root) => samples.flatMap((sample) => holding(root, sample)));
  // The runtime closes an object's files, and its log with them, ten seconds after the last call.
  for (let waited = 0; waited < 60 && found().length > 0; waited++) await sleep(500);
  expect(found()).toEqual([]);
});

test("verify tells what it did not read without an identity, and verifies all with one", async () => {
  expect(await verify()).toMatchObject({
    exit: 0,
    integrity: "VALID",
    completeness: "COMPLETE",
    frames: 0,
    codes: ["session_sealed"],
  });
  const seen = await verify("--identity", first?.path ?? "");
  expect(seen).toMatchObject({ exit: 0, integrity: "VALID", completeness: "COMPLETE", codes: [] });
  expect(seen.frames).toBeGreaterThan(10);
  expect(await verify("--identity", second?.path ?? "")).toMatchObject({
    exit: 1,
    codes: ["session_key_unreadable"],
  });
});

test("steno fetch --identity gives evidence that verifies by itself, and what it says in clear", async () => {
  const [session = "" as SessionId] = sessionIds();
  const copy = join(home.path, "copy");
  const fetched = await site.node.cli("fetch", session, "-o", copy, "--identity", first?.path ?? "");
  expect(fetched).toMatchObject({ code: 0, err: "" });
  const clear = readdirSync(join(copy, "clear", session)).sort();
  expect(clear).toContain("frames-000000.ndjson.zst");
  const lines = clear
    .filter((name) => name.startsWith("frames-"))
    .map((name) => execFileSync("zstdcat", [join(copy, "clear", session, name)], { encoding: "utf8" }));
  expect(lines.join("")).toContain(MARK);
  const evidence = join(copy, sessionFolder(session));
  const verified = await site.node.cli("verify", evidence, "--identity", first?.path ?? "");
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.out).toMatch(/^VALID COMPLETE sessions=1 frames=[1-9]/m);
});

test("a frame of an encrypted session is disclosed by whoever can read it, and verifies without a key", async () => {
  const [session = "" as SessionId] = sessionIds();
  const out = join(home.path, "disclosed");
  const asked = ["disclose", site.node.archive, "--session", session, "--frame", "0,2", "-o", out];
  const sealed = await site.node.cli(...asked);
  expect(sealed).toMatchObject({ code: 1 });
  expect(sealed.err).toContain("the session is encrypted: give --identity");
  expect((await site.node.cli(...asked, "--identity", second?.path ?? "")).err).toContain("cannot be opened");
  expect(await site.node.cli(...asked, "--identity", first?.path ?? "")).toMatchObject({ code: 0, err: "" });
  const verified = await site.node.cli("verify", out);
  expect(verified.out).toBe("VALID COMPLETE sessions=1 frames=2\n");
});

test("an auditor who is added reads what was recorded before, and no evidence has changed", async () => {
  const before = execFileSync("sh", ["-c", "find . -type f | sort | xargs sha256sum"], {
    cwd: join(site.node.archive, "sessions"),
  });
  const to = ["--to", second?.recipient ?? ""];
  const shared = await site.node.cli("keys", "share", ...to, "--identity", first?.path ?? "", "--json");
  expect(shared).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(shared.out)).toMatchObject({ shared: sessionIds().length, findings: [] });
  for (const { path } of auditors)
    expect(await verify("--identity", path)).toMatchObject({ exit: 0, codes: [] });
  const after = execFileSync("sh", ["-c", "find . -type f | sort | xargs sha256sum"], {
    cwd: join(site.node.archive, "sessions"),
  });
  expect(after).toEqual(before);
});

test("steno check says to whom is encrypted, and that keys can be written", async () => {
  const { out } = await site.node.cli("check");
  expect(out).toContain("ok: encrypt_to: 1 recipients");
  expect(out).toMatch(/ok: keys: .*-keys can be written/);
});

test("a data protection officer erases a session: its key is gone, every proof holds, and a legal hold forbids it", async () => {
  const [session = "" as SessionId] = sessionIds();
  const as = async (sub: string, ...args: string[]) => {
    const token = await site.oidc.token({ sub, audience: "steno-console" });
    const env = { ...process.env, STENO_CONSOLE_TOKEN: token };
    return cli([...args, "--console", site.node.console()], site.node.config, env);
  };
  expect(await as("carol", "legal-hold", "set", session, "--reason", "case/88")).toMatchObject({ code: 0 });
  const forbidden = await as("bob", "erase", session, "--reason", "DSR-2026-017");
  expect(forbidden.code).toBe(1);
  expect(forbidden.err).toContain("under a legal hold (case/88)");
  expect((await as("dave", "erase", session, "--reason", "DSR-2026-017")).err).toContain("role privacy");
  expect(await as("carol", "legal-hold", "lift", session, "--reason", "case/88")).toMatchObject({ code: 0 });
  expect(existsSync(join(keysRoot(), sessionKey(session)))).toBe(true);
  const erased = await as("bob", "erase", session, "--reason", "DSR-2026-017");
  expect(erased).toMatchObject({ code: 0, err: "" });
  expect(erased.out).toContain("erased (DSR-2026-017)");
  expect(existsSync(join(keysRoot(), sessionKey(session)))).toBe(false);
  const { code, out } = await site.node.cli("verify", site.node.archive, "--session", session);
  expect(out).toMatch(/^session_erased .*: erased on \S+, by log entry \d+ \(DSR-2026-017\)$/m);
  expect(out).toContain("VALID COMPLETE");
  expect(code).toBe(0);
  expect(await verify("--identity", first?.path ?? "")).toMatchObject({ exit: 0, codes: ["session_erased"] });
});

test("a node that is killed while it seals has stored whole, readable, identical objects", async () => {
  for (let round = 0; round < 3; round++) {
    const directory = client.fresh();
    await client.git("clone", "-q", site.url("app.git"), directory);
    await client.commit(directory, "blob.bin", randomBytes(200_000));
    await client.git("-C", directory, "push", "-q", "origin", `HEAD:refs/heads/round-${round}`);
    const ending = ended().catch(() => undefined);
    await sleep(randomInt(0, 120));
    for (const pid of site.node.workerds()) process.kill(pid, "SIGKILL");
    await ending;
    for (let waited = 0; waited < 60; waited++) {
      const up = await fetch(`${site.node.gateway()}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (up) break;
      await sleep(250);
    }
  }
  await ended();
  const seen = await verify("--identity", first?.path ?? "");
  const expected = ["session_truncated", "session_erased"];
  expect({ ...seen, codes: seen.codes.filter((code) => !expected.includes(code)) }).toMatchObject({
    integrity: "VALID",
    codes: [],
  });
  expect(sessionIds().length).toBeGreaterThanOrEqual(2);
});
