// A whole node and a real timestamp authority: what openssl and Sigstore's client make of what is stored, and one that is down.
import { createPublicKey } from "node:crypto";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Bundle, stampedBytes, stampOf } from "#durable/proof/seal.ts";
import { readToken } from "#durable/proof/timestamp/token.ts";
import { blocksOf, runBlock, stenoShim } from "#test/support/documents.ts";
import { until, workspace } from "#test/support/servers/children.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { startOidc } from "#test/support/servers/oidc.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { opensslVerifies, startTsa, type TsaServer } from "#test/support/servers/tsa.ts";
import { cli, type Node, startNode } from "#test/support/steno.ts";

const ROOT = join(import.meta.dirname, "../..");
const home = workspace("timestamps");
let oidc: Awaited<ReturnType<typeof startOidc>>;
let git: GitHttpServer;
let tsa: TsaServer;
let node: Node;

/** A session of one exchange, ended and sealed. */
async function session(sub: string): Promise<string> {
  const headers = { authorization: `Bearer ${await oidc.token({ sub, audience: "steno" })}` };
  const path = "/git/code/team/app.git/info/refs?service=git-upload-pack";
  expect(await (await fetch(node.gateway() + path, { headers })).text()).toContain("refs/heads/main");
  const sessions = `${node.gateway()}/v1/sessions`;
  const asked = (await (await fetch(sessions, { headers })).json()) as { sessions: { session: string }[] };
  const id = asked.sessions[0]?.session ?? "";
  await fetch(`${sessions}/${id}`, { method: "DELETE", headers });
  const sealed = async () => {
    const { status } = (await (await fetch(`${sessions}/${id}`, { headers })).json()) as { status: string };
    if (status !== "sealed") throw new Error(`the session is ${status}`);
  };
  await vi.waitFor(sealed, { timeout: 90_000, interval: 100 });
  return id;
}

const verify = (archive: string, ...more: string[]) =>
  cli(["verify", archive, ...more], node.config, process.env);
const held = () => ["--tsa-cert", tsa.files.root];

beforeAll(async () => {
  [oidc, git, tsa] = await Promise.all([startOidc(), startGitHttp(), startTsa(join(home.path, "tsa"))]);
  await tinyRepository(await git.createRepository("team/app.git"));
  node = await startNode({
    issuer: oidc.issuer,
    connections: [{ name: "code", kind: "git", upstream: git.authUrl, credential: "env:UP" }],
    env: { UP: `${git.user}:${git.password}` },
    policies: { "all.cedar": "permit (principal, action, resource);\n" },
    evidence: { tsa: tsa.url, tsa_cert: `file:${tsa.files.chain}` },
  });
});
afterAll(async () => {
  await node?.stop();
  await Promise.all([tsa?.stop(), git?.stop(), oidc?.stop()]);
  home.remove();
});

test("openssl verifies the timestamp of every checkpoint and of the seal, and of nothing else; check says who answered", async () => {
  const id = await session("alice");
  const stamped = globSync(join(node.archive, "log/checkpoints/*.tsr"));
  expect(stamped.length).toBeGreaterThan(0);
  for (const path of stamped) {
    const note = readFileSync(path.replace(/\.tsr$/, ""));
    expect(opensslVerifies(tsa.files, readFileSync(path), note)).toBe(true);
    expect(opensslVerifies(tsa.files, readFileSync(path), Buffer.concat([note, note]))).toBe(false);
  }
  const [path = ""] = globSync(join(node.archive, `sessions/*/*/*/${id}/seal.sigstore.json`));
  const seal = JSON.parse(readFileSync(path, "utf8")) as Bundle;
  expect(opensslVerifies(tsa.files, stampOf(seal) ?? new Uint8Array(), stampedBytes(seal))).toBe(true);
  expect(new Set(tsa.asked)).toEqual(new Set(["application/timestamp-query"]));
  const { out } = await node.cli("check");
  expect(out).toMatch(
    /^ok: tsa http:\S+\/tsr: answers under policy 1\.2\.3\.4\.1 in \d+ ms; our clock is within a second of it$/m,
  );
  expect(await verify(node.archive, ...held())).toMatchObject({
    code: 0,
    out: expect.stringContaining("VALID COMPLETE"),
  });
});

test("Sigstore's client demands the seal's timestamp with the archive's trusted root, and refuses it when it was changed", () => {
  const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const [path = ""] = globSync(join(node.archive, "sessions/*/*/*/ses_*/seal.sigstore.json"));
  const root = TrustedRoot.fromJSON(json(join(node.archive, "trust/trusted_root.json")));
  const publicKey = createPublicKey(readFileSync(join(node.archive, "trust/seal.pub")));
  const verifier = (of: TrustedRoot) =>
    new Verifier(
      toTrustMaterial(of, () => ({ publicKey, validFor: () => true })),
      { tlogThreshold: 1, timestampThreshold: 1, ctlogThreshold: 0 },
    );
  const seal = json(path) as Bundle;
  const accepts = (bundle: unknown, of = root) =>
    verifier(of).verify(toSignedEntity(bundleFromJSON(bundle as never))) !== undefined;
  expect(accepts(seal)).toBe(true);
  const reply = Buffer.from(stampOf(seal) ?? []);
  const token = readToken(new Uint8Array(reply));
  if (typeof token === "string") throw new Error(token);
  for (const [part, at] of [
    [token.said, 45],
    [token.said, token.said.byteLength - 2],
    [token.signed.signature, 30],
  ] as const) {
    const bent = Buffer.from(reply);
    const place = bent.indexOf(part) + at;
    bent[place] = (bent[place] ?? 0) ^ 1;
    const copy = structuredClone(seal);
    copy.verificationMaterial.timestampVerificationData = {
      rfc3161Timestamps: [{ signedTimestamp: bent.toString("base64") }],
    };
    expect(() => accepts(copy), `${at}`).toThrow();
  }
  const { timestampVerificationData: _, ...without } = seal.verificationMaterial;
  expect(() => accepts({ ...seal, verificationMaterial: without })).toThrow(/timestamp/);
  expect(() => accepts(seal, { ...root, timestampAuthorities: [] })).toThrow();
});

const document = "docs/auditors.md";
const blocks = blocksOf(document, readFileSync(join(ROOT, document), "utf8"));
test.each(blocks.filter(({ mark }) => mark === "sh run timestamps"))(
  "leaves timestamps for which $at does what it says",
  async ({ at, body }) => {
    const directory = join(home.path, at.replaceAll(/\W/g, "-"));
    mkdirSync(directory);
    symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
    cpSync(tsa.files.chain, join(directory, "tsa.pem"));
    const env = { EVIDENCE: node.archive };
    const ran = await runBlock("sh", body, { cwd: directory, env, path: stenoShim(directory) });
    expect(ran.code, ran.err + ran.out).toBe(0);
    const told = [...body.matchAll(/^# prints: (.+)$/gm)].map(([, words]) => words);
    expect(told.length).toBeGreaterThan(0);
    for (const words of told) expect(ran.out).toContain(words);
  },
);

test("a changed timestamp in the archive is found, by whoever looks", async () => {
  const copy = join(home.path, "copy");
  cpSync(node.archive, copy, { recursive: true });
  const [path = ""] = globSync(join(copy, "log/checkpoints/*.tsr"));
  const bytes = readFileSync(path);
  const token = readToken(new Uint8Array(bytes));
  if (typeof token === "string") throw new Error(token);
  const place = bytes.indexOf(token.signed.signature) + 20;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  for (const more of [held(), []]) {
    const { code, out } = await verify(copy, ...more);
    expect(code).toBe(1);
    expect(out).toMatch(
      /^timestamp_forged log\/checkpoints\/\S+\.tsr: its timestamp: its signature does not hold$/m,
    );
    expect(out).toContain("INVALID");
  }
});

test("with the authority down sessions are sealed as before; check, the node and the verifier say what is missing", async () => {
  await tsa.stop();
  const id = await session("bob");
  await until(() => node.output().includes('"code":"timestamp_absent"'), "the alert");
  const [seal = ""] = globSync(join(node.archive, `sessions/*/*/*/${id}/seal.sigstore.json`));
  expect(existsSync(seal)).toBe(true);
  expect((await node.cli("check")).out).toMatch(/^warning: tsa http:\S+: .*ECONNREFUSED/m);
  expect(await verify(node.archive)).toMatchObject({ code: 0 });
  const lacking = await verify(node.archive, ...held());
  expect(lacking).toMatchObject({ code: 1, out: expect.stringContaining("VALID DEGRADED") });
  expect(lacking.out).toMatch(/^timestamp_missing log\/checkpoints\//m);
  expect(lacking.out).toMatch(
    /^timestamp_missing log\/entry\/\d+\.sigstore\.json: the seal has no timestamp/m,
  );
  await tsa.start();
});
