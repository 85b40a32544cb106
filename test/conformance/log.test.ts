/** The log as other people's tools verify it: @sigstore/verify, Go's sumdb, openssl. First as a node writes it. */
import { execFileSync, spawnSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { disclose } from "#scripts/disclose/disclose.ts";
import { collectEvidence } from "#scripts/export/evidence.ts";
import { folderSource } from "#scripts/verify/folder.ts";
import { workspace } from "#test/support/servers/children.ts";
import { startGitHttp } from "#test/support/servers/git-http.ts";
import { startOidc } from "#test/support/servers/oidc.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { cli, type Node, startNode } from "#test/support/steno.ts";
import { inlineSession } from "#test/unit/proof/corpus.ts";
import { Archive, source as mapSource } from "#test/unit/proof/recording.ts";

const home = workspace("log");
const SUMDB = join(import.meta.dirname, "sumdb");
let checker: string;
/** An archive that a node wrote, after its first sessions and after more. */
let real: string;
let earlier: string;
/** The same, after its log was changed for another and more sessions. */
let rotated: string;
/** What `steno verify` keeps of the archive before that. */
let state: string;
const FIRST = "seal-2026.gw.example";
const NEXT = "seal-2027.gw.example";
/** One of more than a full tile, written with the same code. */
let large: string;

beforeAll(async () => {
  checker = join(home.path, "sumdb");
  // Debian's Go packages lie in a GOPATH; there is no network and no module cache.
  const env = { ...process.env, GOPATH: "/usr/share/gocode", GO111MODULE: "off", GOFLAGS: "" };
  const cache = { GOCACHE: join(home.path, "go-cache") };
  execFileSync("go", ["build", "-o", checker, "."], { cwd: SUMDB, env: { ...env, ...cache } });
  await record();
  large = join(home.path, "large");
  const archive = new Archive();
  for (let n = 0; n < 131; n++) await inlineSession(archive, {}, n);
  for (const [key, bytes] of archive.objects) {
    mkdirSync(dirname(join(large, key)), { recursive: true });
    writeFileSync(join(large, key), bytes);
  }
});
afterAll(() => home.remove());

/** Rounds of sessions through a whole node, each sealed before the archive is copied. */
async function record(): Promise<void> {
  const oidc = await startOidc();
  const git = await startGitHttp();
  await tinyRepository(await git.createRepository("team/app.git"));
  const connection = { name: "code", kind: "git", upstream: git.authUrl, credential: "env:UP" };
  const env = { UP: `${git.user}:${git.password}` };
  const node = await startNode({ issuer: oidc.issuer, connections: [connection], env });
  const rounds = ["earlier", "real", "rotated"].map((name) => join(home.path, name));
  state = join(home.path, "state.json");
  try {
    for (const [round, copy] of rounds.entries()) {
      if (round === 2) await rotate(node);
      const subjects = ["alice", "bob", "carol"].map((name) => `${name}-${round}`);
      await Promise.all(
        subjects.map(async (sub) => session(node.gateway(), await oidc.token({ sub, audience: "steno" }))),
      );
      cpSync(node.archive, copy, { recursive: true });
    }
  } finally {
    await node.stop();
    await git.stop();
    await oidc.stop();
  }
  [earlier = "", real = "", rotated = ""] = rounds;
}

/** As docs/configuration.md says: the keys first, then what they are for, then a start. */
async function rotate(node: Node): Promise<void> {
  expect(await node.cli("verify", node.archive, "--since", state)).toMatchObject({ code: 0 });
  const { out } = await node.cli("keys", "rotate", NEXT, "--json");
  const { vkeys, evidence } = JSON.parse(out) as {
    readonly vkeys: readonly string[];
    readonly evidence: { readonly origin: string; readonly previous_origins: readonly string[] };
  };
  expect(vkeys.every((vkey) => vkey.startsWith(`${NEXT}+`))).toBe(true);
  const text = read(node.config);
  const lines = Object.entries(evidence).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const changed = text.replace(/^origin = .*$/m, lines.join("\n"));
  expect(changed).not.toBe(text);
  await node.terminate();
  writeFileSync(node.config, changed);
  await node.start();
}

/** One exchange in a session of its own, ended and sealed. */
async function session(gateway: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const refs = await fetch(`${gateway}/git/code/team/app.git/info/refs?service=git-upload-pack`, { headers });
  await refs.arrayBuffer();
  if (refs.status !== 200) throw new Error(`the upstream's refs: ${refs.status}`);
  const asked = await fetch(`${gateway}/v1/sessions`, { headers });
  const { sessions } = (await asked.json()) as { sessions: { session: string }[] };
  const own = `${gateway}/v1/sessions/${sessions[0]?.session}`;
  await fetch(own, { method: "DELETE", headers });
  const sealed = async () => {
    const { status } = (await (await fetch(own, { headers })).json()) as { status: string };
    if (status !== "sealed") throw new Error(`the session is ${status}`);
  };
  await vi.waitFor(sealed, { timeout: 90_000, interval: 100 });
}

const sealsOf = (archive: string): string[] => globSync(join(archive, "sessions/*/*/*/*/seal.sigstore.json"));
/** Of the newest checkpoint: the heads, and what else the node has to say, which a probe of the store may say at any time. */
const sizeOf = (archive: string): number => Number(read(join(archive, "log/checkpoint")).split("\n")[1]);
const read = (path: string): string => readFileSync(path, "utf8");

type Stored = {
  verificationMaterial: {
    publicKey: { hint: string };
    tlogEntries: [
      {
        logIndex: string;
        logId: { keyId: string };
        inclusionProof: {
          logIndex: string;
          treeSize: string;
          rootHash: string;
          hashes: string[];
          checkpoint: { envelope: string };
        };
        canonicalizedBody: string;
      },
    ];
  };
  dsseEnvelope: { payload: string; signatures: [{ sig: string }] };
};

/** Throws as @sigstore/verify does. */
function sigstore(archive: string, bundle: unknown): void {
  const root = TrustedRoot.fromJSON(JSON.parse(read(join(archive, "trust/trusted_root.json"))));
  const publicKey = createPublicKey(read(join(archive, "trust/seal.pub")));
  const material = toTrustMaterial(root, () => ({ publicKey, validFor: () => true }));
  const verifier = new Verifier(material, { tlogThreshold: 1, timestampThreshold: 0, ctlogThreshold: 0 });
  verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
}

const bent = (base64: string, at = 10): string => {
  const bytes = Buffer.from(base64, "base64");
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes.toString("base64");
};

describe("@sigstore/verify", () => {
  test("accepts every seal and every entry of a node's log", () => {
    const seals = sealsOf(real);
    const entries = globSync(join(real, "log/entry/*.sigstore.json"));
    const kinds = entries.map((path) => {
      const { payload } = (JSON.parse(read(path)) as Stored).dsseEnvelope;
      return (JSON.parse(atob(payload)) as { predicateType: string }).predicateType.split(":")[3];
    });
    const count = (kind: string) => kinds.filter((each) => each === kind).length;
    expect([seals.length, count("session-head"), count("policy-change")]).toEqual([6, 12, 1]);
    expect(entries).toHaveLength(sizeOf(real));
    for (const path of [...seals, ...entries]) sigstore(real, JSON.parse(read(path)));
  });

  const mutations: readonly [
    string,
    (bundle: Stored, entry: Stored["verificationMaterial"]["tlogEntries"][0]) => void,
  ][] = [
    ["another payload", ({ dsseEnvelope }) => (dsseEnvelope.payload = bent(dsseEnvelope.payload))],
    [
      "another signature",
      ({ dsseEnvelope: { signatures } }) => (signatures[0].sig = bent(signatures[0].sig, 20)),
    ],
    [
      "another hash in its proof",
      (_, { inclusionProof: proof }) => (proof.hashes[0] = bent(proof.hashes[0] ?? "")),
    ],
    ["a proof without its last hash", (_, { inclusionProof: proof }) => proof.hashes.pop()],
    [
      "another index",
      (_, entry) => (entry.logIndex = entry.inclusionProof.logIndex = String(Number(entry.logIndex) - 1)),
    ],
    [
      "a checkpoint of another size",
      (_, { inclusionProof: { checkpoint } }) =>
        (checkpoint.envelope = checkpoint.envelope.replace(/\n(\d+)\n/, (_, n) => `\n${Number(n) + 1}\n`)),
    ],
    [
      "a checkpoint signed otherwise",
      (_, { inclusionProof: { checkpoint } }) =>
        (checkpoint.envelope = checkpoint.envelope.replace(
          /^(\u2014 \S+ .{20})(.)/mu,
          (_, a, b) => `${a}${b === "A" ? "B" : "A"}`,
        )),
    ],
    ["another log entry", (_, entry) => (entry.canonicalizedBody = bent(entry.canonicalizedBody, 100))],
    [
      "no place in the log",
      ({ verificationMaterial }) => Reflect.deleteProperty(verificationMaterial, "tlogEntries"),
    ],
  ];
  test.each(mutations)("rejects a seal with %s", (_, change) => {
    const bundle = JSON.parse(read(sealsOf(real).at(-1) ?? "")) as Stored;
    change(bundle, bundle.verificationMaterial.tlogEntries[0]);
    expect(() => sigstore(real, bundle)).toThrow();
  });

  test("rejects a seal of another log", () => {
    expect(() => sigstore(large, JSON.parse(read(sealsOf(real)[0] ?? "")))).toThrow();
  });
});

const sumdb = (archive: string, before = "-") => spawnSync(checker, [archive, before], { encoding: "utf8" });

describe("Go's x/mod/sumdb", () => {
  test("verifies a node's checkpoint, every entry from its tiles and from its bundle, and that the log grew", () => {
    expect(sumdb(real, join(earlier, "log/checkpoint"))).toMatchObject({
      stdout: `${sizeOf(real)} entries\nextends ${sizeOf(earlier)}\n`,
      stderr: "",
    });
  });

  test("verifies a log of more than a full tile, and that it extends each checkpoint it ever signed", () => {
    expect(sumdb(large).stdout).toBe("262 entries\n");
    for (const size of [1, 255, 256, 257, 262]) {
      const [stored = ""] = globSync(join(large, `log/checkpoints/${size}-*`));
      expect(sumdb(large, stored).stdout).toBe(`262 entries\nextends ${size}\n`);
    }
  });

  test("verifies frames that were disclosed alone, and no other line in their place", async () => {
    const [seal = ""] = sealsOf(real);
    const out = join(home.path, "disclosed");
    const quiet = { env: {}, out: () => undefined, err: () => undefined };
    expect(await disclose([dirname(seal), "--frame", "0,2,4", "-o", out], quiet)).toBe(0);
    expect(sumdb(out, "disclosed")).toMatchObject({ stdout: "3 frames\n", stderr: "" });
    const line = join(out, "frame-2.json");
    const text = read(line);
    writeFileSync(line, text.replace('"seq":2', '"seq":3'));
    expect(sumdb(out, "disclosed").status).toBe(1);
    writeFileSync(line, text);
    const [two, four] = [2, 4].map((n) => join(out, `frame-${n}.tlog-proof`)) as [string, string];
    cpSync(four, two);
    expect(sumdb(out, "disclosed").status).toBe(1);
  });

  test("rejects a tile, an entry bundle or a checkpoint with one other byte, and a log that does not extend another", () => {
    for (const key of [
      "log/tile/0/000",
      "log/tile/entries/001.p/6",
      "log/checkpoint",
      "log/entry/9.sigstore.json",
    ]) {
      const path = join(large, key);
      const bytes = readFileSync(path);
      const at =
        key === "log/checkpoint" ? 40 : key.startsWith("log/entry") ? bytes.indexOf('"hashes":["') + 15 : 100;
      const other = Buffer.from(bytes);
      other.writeUInt8(other.readUInt8(at) ^ 1, at);
      writeFileSync(path, other, { flag: "r+" });
      const { status } = sumdb(large);
      writeFileSync(path, bytes);
      expect({ key, status }).toEqual({ key, status: 1 });
    }
    expect(sumdb(large, join(real, "log/checkpoint")).status).toBe(1);
  });
});

describe("a log that goes on for another", () => {
  const shard = () => join(rotated, "shards", NEXT);
  const originIn = (seal: string): string | undefined =>
    (
      JSON.parse(read(seal)) as Stored
    ).verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope.split("\n")[0];
  const sealsIn = (origin: string) => sealsOf(rotated).filter((seal) => originIn(seal) === origin);
  const quiet = { env: {}, out: () => undefined, err: () => undefined };

  test("is verified with it as one archive, which extends what was kept of the first log", async () => {
    const verified = () => cli(["verify", rotated, "--since", state], "", process.env);
    expect(await verified()).toMatchObject({ code: 0, out: expect.stringContaining("VALID COMPLETE") });
    expect(JSON.parse(read(state))).toMatchObject({ origin: NEXT });
    expect(await verified()).toMatchObject({ code: 0, out: expect.stringContaining("VALID COMPLETE") });
  });

  test("is verified by @sigstore/verify with its own root of trust, and each seal with that of its log alone", () => {
    expect([sealsIn(FIRST).length, sealsIn(NEXT).length]).toEqual([6, 3]);
    for (const seal of sealsIn(FIRST)) sigstore(rotated, JSON.parse(read(seal)));
    for (const seal of sealsIn(NEXT)) sigstore(shard(), JSON.parse(read(seal)));
    expect(() => sigstore(rotated, JSON.parse(read(sealsIn(NEXT)[0] ?? "")))).toThrow();
    for (const entry of globSync(join(shard(), "log/entry/*.sigstore.json")))
      sigstore(shard(), JSON.parse(read(entry)));
  });

  test("is verified by Go's sumdb as a log of its own, and the first one grew to its end", () => {
    expect(sumdb(rotated, join(real, "log/checkpoint"))).toMatchObject({
      stdout: `${sizeOf(rotated)} entries\nextends ${sizeOf(real)}\n`,
      stderr: "",
    });
    expect(sumdb(shard())).toMatchObject({ stdout: `${sizeOf(shard())} entries\n`, stderr: "" });
  });

  test("has sessions that are exported and disclosed with what verifies them", async () => {
    const [seal = ""] = sealsIn(NEXT);
    const out = join(home.path, "disclosed-next");
    expect(await disclose([dirname(seal), "--frame", "0,2", "-o", out], quiet)).toBe(0);
    expect(sumdb(out, "disclosed")).toMatchObject({ stdout: "2 frames\n", stderr: "" });
    const evidence = await collectEvidence(
      folderSource(rotated),
      basename(dirname(seal)) as SessionId,
      1 << 30,
    );
    const names = [...evidence.keys()];
    expect(names).toContain(`shards/${NEXT}/trust/log.vkey`);
    const only = basename(dirname(seal)) as SessionId;
    expect(await verifyArchive(mapSource(new Map(evidence)), { now: Date.now() }, only)).toMatchObject({
      findings: [],
      sessions: 1,
    });
  });
});

test("openssl verifies the DSSE signature of a seal and the Ed25519 signature of a checkpoint", () => {
  const at = (name: string) => join(home.path, name);
  const { dsseEnvelope } = JSON.parse(read(sealsOf(real)[0] ?? "")) as Stored;
  const payload = Buffer.from(dsseEnvelope.payload, "base64");
  const head = Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${payload.length} `);
  writeFileSync(at("pae"), Buffer.concat([head, payload]));
  writeFileSync(at("seal.der"), Buffer.from(dsseEnvelope.signatures[0].sig, "base64"));
  const digest = [
    "dgst",
    "-sha256",
    "-verify",
    join(real, "trust/seal.pub"),
    "-signature",
    at("seal.der"),
    at("pae"),
  ];
  expect(execFileSync("openssl", digest, { encoding: "utf8" })).toBe("Verified OK\n");

  const note = read(join(real, "log/checkpoint"));
  const text = note.slice(0, note.indexOf("\n\n") + 1);
  const [, line = ""] = /\n\n\u2014 \S+ (\S+)\n/u.exec(note) ?? [];
  // name+id+key: the key is base64, which has plus signs of its own.
  const key = read(join(real, "trust/log.vkey")).trim().split("+").slice(2).join("+");
  const raw = Buffer.from(key, "base64").subarray(1);
  writeFileSync(at("log.der"), Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]));
  writeFileSync(at("text"), text);
  writeFileSync(at("text.sig"), Buffer.from(line, "base64").subarray(4));
  const files = ["-inkey", at("log.der"), "-keyform", "DER", "-in", at("text"), "-sigfile", at("text.sig")];
  const said = execFileSync("openssl", ["pkeyutl", "-verify", "-pubin", "-rawin", ...files], {
    encoding: "utf8",
  });
  expect(said).toBe("Signature Verified Successfully\n");
});

test("our own verifier says the same of both", async () => {
  for (const archive of [real, large]) {
    const verified = await verifyArchive(folderSource(archive), { now: Date.now() });
    expect(verified).toMatchObject({ findings: [], integrity: "VALID", completeness: "COMPLETE" });
    expect(verified.log?.size).toBe(archive === real ? sizeOf(real) : 262);
  }
});
