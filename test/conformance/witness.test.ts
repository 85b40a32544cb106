// A whole node and two real witnesses: cosigned seals, one of them down, a restored backup, a fork, and Go's word on it.
import { execFileSync } from "node:child_process";
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Child, startChild, until, workspace } from "#test/support/servers/children.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { startOidc } from "#test/support/servers/oidc.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { cli, type Node, startNode } from "#test/support/steno.ts";

const ROOT = join(import.meta.dirname, "../..");
const home = workspace("witnesses");
const LOG = "seal-2026.gw.example";

type Running = { readonly name: string; readonly port: number; child?: Child };
let oidc: Awaited<ReturnType<typeof startOidc>>;
let git: GitHttpServer;
let node: Node;
const running: Running[] = [];

const file = (...path: string[]) => join(home.path, ...path);
const read = (path: string): string => readFileSync(path, "utf8");
const logKeys = () => ["log", "log-pq"].map((name) => read(file(`${name}.vkey`)).trim());

async function startWitness(witness: Running): Promise<string> {
  const log = file(`${witness.name}.log`);
  const logs = logKeys().flatMap((vkey) => ["--log", vkey]);
  const own = ["--name", witness.name, "--key", file(`${witness.name}.pem`), "--state", file(witness.name)];
  const args = [
    join(ROOT, "scripts/steno.ts"),
    "witness",
    ...own,
    ...logs,
    "--listen",
    `127.0.0.1:${witness.port}`,
  ];
  writeFileSync(log, "");
  witness.child = startChild(process.execPath, args, { log });
  await until(() => read(log).includes("listening"), `witness ${witness.name}`, [witness.child]);
  return `${/^witness (\S+)$/m.exec(read(log))?.[1]} http://127.0.0.1:${witness.port}`;
}

/** What the upstream lists, in a session of its own; git's own words when the gateway refuses. */
async function exchange(headers: HeadersInit): Promise<string> {
  const path = "/git/code/team/app.git/info/refs?service=git-upload-pack";
  return await (await fetch(node.gateway() + path, { headers })).text();
}

const headersOf = async (sub: string) => ({
  authorization: `Bearer ${await oidc.token({ sub, audience: "steno" })}`,
});

/** A session of one exchange, ended and sealed. */
async function session(sub: string): Promise<void> {
  const headers = await headersOf(sub);
  expect(await exchange(headers)).toContain("refs/heads/main");
  const sessions = `${node.gateway()}/v1/sessions`;
  const asked = (await (await fetch(sessions, { headers })).json()) as { sessions: { session: string }[] };
  const own = `${sessions}/${asked.sessions[0]?.session}`;
  await fetch(own, { method: "DELETE", headers });
  const sealed = async () => {
    const { status } = (await (await fetch(own, { headers })).json()) as { status: string };
    if (status !== "sealed") throw new Error(`the session is ${status}`);
  };
  await vi.waitFor(sealed, { timeout: 90_000, interval: 100 });
}

const verify = (...more: string[]) => cli(["verify", node.archive, ...more], node.config, process.env);

beforeAll(async () => {
  [oidc, git] = await Promise.all([startOidc(), startGitHttp()]);
  await tinyRepository(await git.createRepository("team/app.git"));
  const connections = [{ name: "code", kind: "git", upstream: git.authUrl, credential: "env:UP" }];
  const env = { UP: `${git.user}:${git.password}` };
  const policies = { "all.cedar": "permit (principal, action, resource);\n" };
  node = await startNode({ issuer: oidc.issuer, connections, env, policies });
  // The node has made its log's keys; its witnesses are told of them, and then it of its witnesses.
  await session("first");
  for (const name of ["log", "log-pq"])
    cpSync(join(node.archive, `trust/${name}.vkey`), file(`${name}.vkey`));
  const config = read(node.config);
  const witnesses: string[] = [];
  for (const name of ["w1.example", "w2.example"]) {
    const witness: Running = { name, port: await freePort() };
    running.push(witness);
    witnesses.push(await startWitness(witness));
  }
  const evidence = `witnesses = ${JSON.stringify(witnesses)}\nquorum = 2\n`;
  writeFileSync(node.config, config.replace("[evidence]\n", `[evidence]\n${evidence}`));
  const policy = [
    ...logKeys().map((vkey) => `log ${vkey}`),
    ...witnesses.map((text, i) => `witness w${i} ${text}`),
    "group both all w0 w1",
    "quorum both",
  ];
  writeFileSync(file("policy"), `${policy.join("\n")}\n`);
  await node.crash();
});
afterAll(async () => {
  await Promise.all(running.map(({ child }) => child?.stop()));
  await node?.stop();
  await git?.stop();
  await oidc?.stop();
  home.remove();
});

test("seals and checkpoints of a node bear both cosignatures, and Go's sumdb verifies them from the archive", async () => {
  await session("alice");
  const seal = read(globSync(join(node.archive, "sessions/*/*/*/*/seal.sigstore.json")).sort().at(-1) ?? "");
  for (const { name } of running) expect(seal).toContain(`\\n\u2014 ${name} `);
  expect(await verify("--policy", file("policy"))).toMatchObject({
    code: 0,
    out: expect.stringMatching(/VALID COMPLETE/),
  });
  // Debian's Go packages lie in a GOPATH; there is no network and no module cache.
  const go = {
    ...process.env,
    GOPATH: "/usr/share/gocode",
    GO111MODULE: "off",
    GOFLAGS: "",
    GOCACHE: file("go-cache"),
  };
  const vkeys = read(file("policy")).match(/w\d\.example\+\S+/g) ?? [];
  const said = execFileSync("go", ["run", ".", node.archive, "-", ...vkeys], {
    cwd: join(import.meta.dirname, "sumdb"),
    env: go,
    encoding: "utf8",
  });
  expect(said).toMatch(/^\d+ entries\ncosigned by w1.example\ncosigned by w2.example\n$/);
  const { out } = await node.cli("check");
  for (const { name } of running)
    expect(out).toMatch(new RegExp(`^ok: witness ${name}: .* cosigned the checkpoint`, "m"));
});

test("with one witness killed sessions are sealed as before; check, the node and the verifier say what is missing", async () => {
  await running[1]?.child?.stop();
  await session("bob");
  expect(node.output()).toContain('"code":"witness_absent"');
  expect(node.output()).toContain('"code":"quorum_missed"');
  const checked = await node.cli("check");
  expect(checked.code).toBe(1);
  expect(checked.out).toMatch(/^warning: witness w2.example: .*ECONNREFUSED/m);
  expect(checked.out).toContain("error: witnesses: 1 are well: checkpoints lack their quorum of 2");
  const lacking = await verify("--policy", file("policy"));
  expect(lacking).toMatchObject({ code: 1, out: expect.stringContaining("VALID DEGRADED") });
  expect(lacking.out).toMatch(
    /^checkpoint_uncosigned log\/checkpoint: it lacks the quorum of the auditor's policy; /m,
  );
  if (running[1]) await startWitness(running[1]);
  // It is left alone for a minute unless the node starts anew.
  await node.crash();
  await session("carol");
  expect((await verify("--policy", file("policy"))).out).not.toContain("log/checkpoint:");
});

test("a node and an archive that were both restored from a backup sign nothing, once a witness has seen more", async () => {
  await node.terminate();
  const [state, archive] = [join(node.directory, "state"), node.archive];
  cpSync(state, file("state.backup"), { recursive: true });
  cpSync(archive, file("archive.backup"), { recursive: true });
  await node.start();
  await session("dave");
  await node.terminate();
  cpSync(archive, file("archive.real"), { recursive: true });
  for (const [path, backup] of [
    [state, "state.backup"],
    [archive, "archive.backup"],
  ] as const) {
    rmSync(path, { recursive: true });
    cpSync(file(backup), path, { recursive: true });
  }
  const before = read(join(archive, "log/checkpoint"));
  await node.start();
  // It is in the node's tables and would be signed next.
  await exchange(await headersOf("eve"));
  await until(() => node.output().includes("ledger_refuses"), "the ledger to refuse");
  expect(await exchange(await headersOf("frank"))).toMatch(
    /^[0-9a-f]{4}(# service=git-upload-pack\n0000[0-9a-f]{4})?ERR /,
  );
  expect(node.output()).toContain('"code":"not_recorded"');
  expect(node.output()).toMatch(
    /"code":"ledger_refuses","cause":"witness w\d.example: it has cosigned \d+ entries/,
  );
  expect(read(join(archive, "log/checkpoint"))).toBe(before);
  expect((await node.cli("check")).out).toMatch(/^error: witness w\d.example: it has cosigned \d+ entries/m);
  expect(before.split("\n")[0]).toBe(LOG);
});
