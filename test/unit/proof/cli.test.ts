/** `steno verify` as it is called, on archives as they lie on disk. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { CHECKPOINT, entryKey, LOG_PQ_VKEY, LOG_VKEY, SEAL_PUB } from "#durable/format/layout.ts";
import { toPem } from "#durable/proof/key.ts";
import { vkeyFile } from "#durable/proof/log/trust.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { verify } from "#scripts/cli/verify.ts";
import { folderSource } from "#scripts/verify/folder.ts";
import { logSigner } from "#test/support/log-signer.ts";
import { bytesSession, inlineSession } from "./corpus.ts";
import { Archive, LOG, type Objects, ORIGIN, SPKI } from "./recording.ts";

let top: string;
let good: Objects;
let root: string;
let folder: string;
let said: string[];

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), "steno-"));
  const archive = new Archive();
  folder = (await inlineSession(archive)).folder;
  await bytesSession(archive);
  good = archive.objects;
  root = write("good", good);
});
afterAll(() => rmSync(top, { recursive: true }));

beforeEach(() => {
  said = [];
  for (const stream of ["log", "error"] as const)
    vi.spyOn(console, stream).mockImplementation((line: string) => void said.push(line));
});
afterEach(() => vi.restoreAllMocks());

function write(name: string, objects: Objects): string {
  for (const [key, bytes] of objects) {
    mkdirSync(join(top, name, dirname(key)), { recursive: true });
    writeFileSync(join(top, name, key), bytes);
  }
  return join(top, name);
}

test("a good archive exits 0 and says so in its last line", async () => {
  expect(await verify([root])).toBe(0);
  expect(said.at(-1)).toMatch(/^VALID COMPLETE sessions=2 frames=\d+$/);
});

test("without a key of the auditor's own, it says whose key it used", async () => {
  await verify([root]);
  expect(said[0]).toContain(join(root, SEAL_PUB));
  said = [];
  writeFileSync(join(top, "seal.pub"), toPem(SPKI));
  expect(await verify([root, "--key", join(top, "seal.pub")])).toBe(0);
  expect(said).toHaveLength(1);
});

test("one session of an archive is verified against the archive's ledger", async () => {
  expect(await verify([join(root, folder)])).toBe(0);
  expect(said.at(-1)).toMatch(/sessions=1 /);
});

test("a finding exits 1, on a line with its code and its object", async () => {
  const bad = write("bad", new Map(good).set(entryKey(1), new Uint8Array([1])));
  expect(await verify([bad])).toBe(1);
  expect(said.some((line) => line.startsWith(`head_malformed ${entryKey(1)}: `))).toBe(true);
  expect(said.at(-1)).toMatch(/^INVALID INCOMPLETE /);
});

test("as JSON it is one object", async () => {
  expect(await verify([root, "--json"])).toBe(0);
  expect(said.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { integrity: "VALID", findings: [] },
  ]);
});

test("a session copied out with its ledger entries and the key is verified by itself", async () => {
  const alone = new Map(
    [...good].flatMap(([key, bytes]) => (key.startsWith(folder) ? [[key.slice(folder.length), bytes]] : [])),
  );
  for (const key of [entryKey(0), entryKey(1), SEAL_PUB, LOG_VKEY, LOG_PQ_VKEY])
    alone.set(key, good.get(key) ?? new Uint8Array());
  expect(await verify([write("alone", alone as Objects)])).toBe(0);
});

test("a session in a folder of another session's name is found", async () => {
  const name = "ses_01JD0000000000000000000000";
  const moved = new Map(
    [...good].flatMap(([key, bytes]) =>
      key.startsWith(folder) ? [[`${name}/${key.slice(folder.length)}`, bytes]] : [],
    ),
  );
  moved.set(`${name}/${SEAL_PUB}`, good.get(SEAL_PUB) ?? new Uint8Array());
  expect(await verify([join(write("moved", moved as Objects), name)])).toBe(1);
  expect(said.some((line) => line.startsWith("head_session seal.sigstore.json"))).toBe(true);
});

test("what a look keeps with --since, the next one demands the log to extend", async () => {
  const state = join(top, "state.json");
  const archive = new Archive();
  await inlineSession(archive);
  const early = write("early", archive.objects);
  await bytesSession(archive);
  expect(await verify([early, "--since", state])).toBe(0);
  const kept = JSON.parse(readFileSync(state, "utf8")) as object;
  expect(kept).toMatchObject({ origin: ORIGIN, size: 2 });
  expect(await verify([write("later", archive.objects), "--since", state])).toBe(0);
  expect(JSON.parse(readFileSync(state, "utf8"))).toMatchObject({ size: 4 });
  expect(await verify([early, "--since", state])).toBe(1);
  expect(said.some((line) => line.startsWith(`log_not_extended ${CHECKPOINT}: `))).toBe(true);
  expect(JSON.parse(readFileSync(state, "utf8"))).toMatchObject({ size: 4 });
});

test("a log that is not sound is not kept", async () => {
  const state = join(top, "unsound.json");
  const bad = write("unsound", new Map(good).set(CHECKPOINT, new Uint8Array([1])));
  expect(await verify([bad, "--since", state])).toBe(1);
  expect(existsSync(state)).toBe(false);
});

test("the log is held against the vkeys the auditor has, and ML-DSA is not called experimental", async () => {
  const vkeys = join(top, "vkeys");
  writeFileSync(vkeys, Buffer.concat([vkeyFile(LOG.keys, "ed25519"), vkeyFile(LOG.keys, "mlDsa")]));
  expect(await verify([root, "--vkey", vkeys])).toBe(0);
  const other = await logSigner("other.example");
  writeFileSync(vkeys, Buffer.concat([vkeyFile(other.keys, "mlDsa"), vkeyFile(other.keys, "ed25519")]));
  expect(await verify([root, "--vkey", vkeys])).toBe(1);
  expect(said.some((line) => line.startsWith("key_other trust/log.vkey: "))).toBe(true);
  writeFileSync(vkeys, vkeyFile(other.keys, "mlDsa"));
  await expect(verify([root, "--vkey", vkeys])).rejects.toThrow("the two keys of one log");
  const cli = join(import.meta.dirname, "../../../scripts/steno.ts");
  const { stderr } = spawnSync(process.execPath, [cli, "verify", root], { encoding: "utf8" });
  expect(stderr).not.toContain("Experimental");
});

test("one session or one day of an archive is chosen by a flag or by its path", async () => {
  const [session = "", day = ""] = [folder.split("/")[4], folder.split("/").slice(1, 4).join("-")];
  for (const args of [[root, "--session", session], [join(root, folder)]]) {
    expect(await verify(args)).toBe(0);
    expect(said.at(-1)).toMatch(/sessions=1 /);
  }
  for (const args of [[root, "--day", day], [join(root, folder, "..")]]) {
    expect(await verify(args)).toBe(0);
    expect(said.at(-1)).toMatch(/sessions=2 /);
  }
  expect(await verify([root, "--day", "2026-11-23"])).toBe(0);
  expect(said.at(-1)).toMatch(/sessions=0 /);
  await expect(verify([root, "--day", "2026-11-31"])).rejects.toThrow("is not a day");
  await expect(verify([root, "--session", "x"])).rejects.toThrow("is not a session's id");
  await expect(verify([root, "--session", session, "--day", day])).rejects.toThrow(UsageFault);
  await expect(verify([join(root, folder), "--day", day])).rejects.toThrow("the path names less");
});

test("a day holds the log against the state of --since and moves it on, as the whole archive does", async () => {
  const state = join(top, "day.json");
  const archive = new Archive();
  await inlineSession(archive);
  const early = write("day-early", archive.objects);
  await bytesSession(archive);
  const late = write("day-late", archive.objects);
  const size = () => (JSON.parse(readFileSync(state, "utf8")) as { size: number }).size;
  expect(await verify([early, "--day", "2026-11-22", "--since", state])).toBe(0);
  expect(size()).toBe(2);
  expect(await verify([late, "--day", "2026-11-23", "--since", state])).toBe(0);
  expect(size()).toBe(4);
  expect(await verify([early, "--day", "2026-11-22", "--since", state])).toBe(1);
  expect(said.some((line) => line.startsWith(`log_not_extended ${CHECKPOINT}: `))).toBe(true);
  expect(size()).toBe(4);
});

test("one head is verified by itself: a seal or a log entry, in its archive or with the keys one holds", async () => {
  for (const key of [`${folder}seal.sigstore.json`, entryKey(0)]) {
    expect(await verify([join(root, key)])).toBe(0);
    expect(said.at(-1)).toBe("VALID COMPLETE sessions=0 frames=0");
  }
  const lone = join(top, "lone.sigstore.json");
  writeFileSync(lone, good.get(entryKey(1)) ?? "");
  await expect(verify([lone])).rejects.toThrow("there is no key to verify with");
  const [key, vkeys] = [join(top, "own.pub"), join(top, "own.vkeys")];
  writeFileSync(key, toPem(SPKI));
  writeFileSync(vkeys, Buffer.concat([vkeyFile(LOG.keys, "ed25519"), vkeyFile(LOG.keys, "mlDsa")]));
  expect(await verify([lone, "--key", key, "--vkey", vkeys])).toBe(0);
  const bent = new TextDecoder().decode(good.get(entryKey(1))).replace(/"sig":"ME./, '"sig":"MEa');
  writeFileSync(lone, bent);
  expect(await verify([lone, "--key", key, "--vkey", vkeys])).toBe(1);
  expect(said.some((line) => line.startsWith("head_signature lone.sigstore.json: "))).toBe(true);
});

test("a file that --since cannot use, and a place that has no whole log, are errors", async () => {
  const state = join(top, "strange.json");
  writeFileSync(state, "{}");
  await expect(verify([root, "--since", state])).rejects.toThrow("does not hold what");
  await expect(verify([join(root, folder), "--since", state])).rejects.toThrow(UsageFault);
});

test("what cannot be verified at all is an error, not a verdict", async () => {
  const keyless = new Map(
    [...good].flatMap(([key, bytes]) => (key.startsWith(folder) ? [[key.slice(folder.length), bytes]] : [])),
  );
  await expect(verify([write("keyless", keyless as Objects)])).rejects.toThrow(
    "there is no key to verify with",
  );
  await expect(verify([join(top, "nowhere")])).rejects.toThrow("cannot be read");
  await expect(verify([join(root, SEAL_PUB)])).rejects.toThrow("is not the bundle of a head");
  await expect(verify([join(root, "trust")])).rejects.toThrow("neither an archive");
  await expect(verify([root, "--key", join(root, entryKey(0))])).rejects.toThrow("cannot be used");
  await expect(verify([])).rejects.toThrow(UsageFault);
  await expect(verify(["gs://bucket/prefix"])).rejects.toThrow(UsageFault);
  await expect(verify([root, "--region", "eu-north-1"])).rejects.toThrow(UsageFault);
  await expect(verify(["s3://bucket/prefix"], {})).rejects.toThrow("AWS_ACCESS_KEY_ID is not set");
  await expect(verify(["s3://bucket"], { AWS_ACCESS_KEY_ID: "x" })).rejects.toThrow("AWS_SECRET_ACCESS_KEY");
  await expect(verify(["s3://", "--region", "x"], {})).rejects.toThrow("is not s3://bucket");
  await expect(verify(["s3://b", "--endpoint", "localhost"], {})).rejects.toThrow("not the URL of a store");
});

test("a folder lists its files ascending, follows no link, and leaves out what is still being written", async () => {
  const place = write(
    "listed",
    new Map([
      ["a/b", new Uint8Array(1)],
      ["a-b", new Uint8Array(2)],
      ["a/.upload-1", new Uint8Array(3)],
    ]),
  );
  symlinkSync("/etc/hostname", join(place, "link"));
  const source = folderSource(place);
  const keys = async (prefix: string) => {
    const listed: string[] = [];
    for await (const key of source.list(prefix)) listed.push(key);
    return listed;
  };
  expect(await keys("")).toEqual(["a-b", "a/b", "link"]);
  expect(await keys("a")).toEqual(["a-b", "a/b"]);
  expect(await keys("a/")).toEqual(["a/b"]);
  expect(await keys("nothing/")).toEqual([]);
  expect(await source.get("link")).toBeUndefined();
  expect(await source.get("a")).toBeUndefined();
  expect(await source.stat("a-b")).toEqual({ bytes: 2 });
  expect(await source.get("nothing/here")).toBeUndefined();
});

test("a segment's digest and a seal's signature hold for sha256sum and openssl too", () => {
  const frames = join(root, folder, "frames-000000.ndjson.zst");
  const bundle = JSON.parse(new TextDecoder().decode(good.get(`${folder}seal.sigstore.json`))) as {
    dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
  };
  const payload = Buffer.from(bundle.dsseEnvelope.payload, "base64");
  const [sha] = execFileSync("sha256sum", [frames], { encoding: "utf8" }).split(" ");
  expect(payload.toString()).toContain(`"sha256":"${sha}"`);
  const type = bundle.dsseEnvelope.payloadType;
  writeFileSync(
    join(top, "pae"),
    Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]),
  );
  writeFileSync(join(top, "sig"), Buffer.from(bundle.dsseEnvelope.signatures[0]?.sig ?? "", "base64"));
  const args = [
    "dgst",
    "-sha256",
    "-verify",
    join(root, SEAL_PUB),
    "-signature",
    join(top, "sig"),
    join(top, "pae"),
  ];
  expect(execFileSync("openssl", args, { encoding: "utf8" })).toBe("Verified OK\n");
});
