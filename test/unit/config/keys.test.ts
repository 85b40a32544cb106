import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { line } from "#scripts/config/finding.ts";
import { initKeys, readKeys } from "#scripts/config/keys.ts";
import { resolveSecret } from "#scripts/config/secret.ts";
import { parseSettings, type Settings } from "#scripts/config/settings.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "steno-keys-"));
});
afterEach(() => rmSync(base, { recursive: true }));

function settingsOf(text = ""): Settings {
  const { settings } = parseSettings(text, base);
  if (settings === undefined) throw new Error("the test's configuration is wrong");
  return settings;
}

const errors = ({ findings }: ReturnType<typeof readKeys>): string[] =>
  findings.filter(({ level }) => level === "error").map(line);

test("keys are made once, private to their owner, and never replaced", () => {
  const settings = settingsOf();
  expect(initKeys(settings)).toHaveLength(7);
  const first = readKeys(settings, {});
  expect(initKeys(settings)).toEqual([]);
  expect(readKeys(settings, {}).keys).toEqual(first.keys);
  expect(first.keys?.pseudonym).toHaveLength(32);
  expect(first.keys?.sealPub).toContain("BEGIN PUBLIC KEY");
  for (const name of ["seal.pem", "log.pem", "log-pq.pem", "pseudonym.key"]) {
    expect(statSync(join(base, ".steno/keys", name)).mode & 0o777).toBe(0o600);
  }
  expect(statSync(join(base, ".steno")).mode & 0o777).toBe(0o700);
  expect(readFileSync(join(base, ".steno/keys/seal.pub"), "utf8")).toBe(first.keys?.sealPub);
});

test("a seal key that the configuration names is used, and none is made", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "sec1", format: "pem" }).toString();
  const settings = settingsOf('[evidence]\nseal_key = "env:SEAL"\n');
  const made = ["log.pem", "log.pub", "log-pq.pem", "log-pq.pub", "pseudonym.key"];
  expect(initKeys(settings)).toEqual(made.map((name) => join(base, ".steno/keys", name)));
  expect(readKeys(settings, { SEAL: pem }).keys?.sealPem).toContain("BEGIN PRIVATE KEY");
  expect(errors(readKeys(settings, {}))).toEqual(["error: seal key: environment variable SEAL is not set"]);
});

test("a seal key of another kind, or no key at all, is refused without showing it", () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const settings = settingsOf('[evidence]\nseal_key = "env:SEAL"\n');
  initKeys(settings);
  const other = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  expect(errors(readKeys(settings, { SEAL: other }))).toEqual([
    "error: seal key: env:SEAL is not an ECDSA P-256 key",
  ]);
  const said = readKeys(settings, { SEAL: "hush" }).findings.map(line).join("\n");
  expect(said).toContain("is not a private key in PEM");
  expect(said).not.toContain("hush");
});

test("the log's keys are an Ed25519 and an ML-DSA-44 key, whoever made them, and workerd's form of the latter is its seed", () => {
  const pem = (type: "ed25519" | "ml-dsa-44") =>
    generateKeyPairSync(type as "ed25519")
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString();
  const settings = settingsOf('[evidence]\nlog_key = "env:LOG"\nlog_pq_key = "env:PQ"\n');
  expect(initKeys(settings).some((path) => path.includes("log"))).toBe(false);
  const env = { LOG: pem("ed25519"), PQ: pem("ml-dsa-44") };
  const { keys } = readKeys(settings, env);
  expect(createPublicKey(keys?.logPqPem ?? "").export({ type: "spki", format: "pem" })).toBe(keys?.logPqPub);
  expect(Buffer.from(keys?.logPqPem.split("\n").slice(1, -2).join("") ?? "", "base64")).toHaveLength(54);
  expect(errors(readKeys(settings, { LOG: env.PQ, PQ: env.LOG }))).toEqual([
    "error: log key: env:LOG is not an Ed25519 key",
    "error: log pq key: env:PQ is not an ML-DSA-44 key",
  ]);
});

test("a secret file loses its line end; missing, empty and world-readable files are named", () => {
  const path = join(base, "token");
  const ref = { kind: "file", path } as const;
  expect(resolveSecret("t", ref, {}).findings.map(line).join()).toMatch(/^error: t: cannot read .*ENOENT/);
  writeFileSync(path, "hush\r\n", { mode: 0o600 });
  expect(resolveSecret("t", ref, {})).toEqual({ text: "hush", findings: [] });
  chmodSync(path, 0o644);
  const open = resolveSecret("t", ref, {});
  expect(open.text).toBe("hush");
  expect(open.findings.map(line)).toEqual([`warning: t: ${path} is readable by others: chmod 600 it`]);
  writeFileSync(path, "\n");
  expect(resolveSecret("t", ref, {}).findings[0]?.text).toContain("is empty");
  expect(resolveSecret("t", { kind: "env", name: "X" }, { X: "" }).findings[0]?.text).toContain("is empty");
});

test("a log that goes on has keys in a folder of its own, beside those of the log before, which nothing replaces", () => {
  initKeys(settingsOf('[evidence]\norigin = "a.example"\n'));
  const first = readKeys(settingsOf('[evidence]\norigin = "a.example"\n'), {}).keys;
  expect(first?.previous).toBeUndefined();
  const text = '[evidence]\norigin = "b.example"\nprevious_origins = ["a.example"]\n';
  expect(initKeys(settingsOf(text)).map((path) => path.slice(join(base, ".steno/keys/").length))).toEqual([
    "b.example/log.pem",
    "b.example/log.pub",
    "b.example/log-pq.pem",
    "b.example/log-pq.pub",
  ]);
  expect(statSync(join(base, ".steno/keys/b.example")).mode & 0o777).toBe(0o700);
  const second = readKeys(settingsOf(text), {}).keys;
  expect(second?.previous).toEqual({
    logPem: first?.logPem,
    logPub: first?.logPub,
    logPqPem: first?.logPqPem,
    logPqPub: first?.logPqPub,
  });
  expect(second?.logPub).not.toBe(first?.logPub);
  const third = '[evidence]\norigin = "c.example"\nprevious_origins = ["a.example", "b.example"]\n';
  initKeys(settingsOf(third));
  expect(readKeys(settingsOf(third), {}).keys?.previous?.logPub).toBe(second?.logPub);
});

test("without the keys of the log before nothing starts, and which are missing is said", () => {
  const settings = settingsOf('[evidence]\norigin = "b.example"\nprevious_origins = ["a.example"]\n');
  initKeys(settings);
  expect(errors(readKeys(settings, {}))).toEqual([
    expect.stringMatching(/^error: previous log key: .*keys\/log\.pem/),
    expect.stringMatching(/^error: previous log pq key: .*keys\/log-pq\.pem/),
  ]);
});
