// `npm run dev`: what a developer has under Wrangler is a gateway, with stock git and a real identity provider.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DIST, ROOT } from "#scripts/build.ts";
import { type GitClient, gitClient, refsOf } from "#test/support/git-client.ts";
import { endSessions } from "#test/support/git-site.ts";
import { type Child, startChild, until, workspace } from "#test/support/servers/children.ts";
import { type GitDaemon, startGitDaemon } from "#test/support/servers/git-daemon.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { cli } from "#test/support/steno.ts";

type Listed = { readonly session: string; readonly denied: number };

const home = workspace("dev");
const config = join(home.path, "steno.toml");
const archive = join(home.path, "state/dev/archive");
let oidc: OidcServer;
let server: GitHttpServer;
let daemon: GitDaemon;
let url: string;
let dev: Child;
let token: string;
let client: GitClient;

beforeAll(async () => {
  [oidc, server, daemon] = await Promise.all([startOidc(), startGitHttp(), startGitDaemon()]);
  await tinyRepository(join(server.root, "app.git"));
  await tinyRepository(join(daemon.root, "app.git"));
  cpSync(join(ROOT, "policies"), join(home.path, "policies"), { recursive: true });
  const agents = `127.0.0.1:${await freePort()}`;
  url = `http://${agents}`;
  const toml = {
    listen: { agents },
    identity: { oidc: [{ issuer: oidc.issuer, audience: "steno", console_audience: "steno-console" }] },
    roles: { auditor: ["security"], admin: ["platform"] },
    // The configured archive is not for what is tried out.
    archive: { kind: "directory", path: join(home.path, "archive") },
    serve: { state: join(home.path, "state") },
    policy: { dir: join(home.path, "policies"), poll_seconds: 1 },
    connections: [
      { name: "code", kind: "git", upstream: `${server.url}/auth`, credential: "env:UPSTREAM_SECRET" },
      { name: "daemon", kind: "git", upstream: daemon.url },
    ],
  };
  writeFileSync(config, stringify(toml));
  dev = await start();
  token = await oidc.token({ sub: "alice", audience: "steno" });
  client = gitClient({ token, origin: url });
});
afterAll(async () => {
  client?.remove();
  await dev?.stop();
  await Promise.all([oidc?.stop(), server?.stop(), daemon?.stop()]);
  home.remove();
});

async function start(): Promise<Child> {
  const child = startChild("npm", ["run", "dev", "--", "--config", config], {
    log: join(home.path, "dev.log"),
    cwd: ROOT,
    env: { ...process.env, UPSTREAM_SECRET: `${server.user}:${server.password}` },
  });
  await until(() => answers("/readyz"), "npm run dev", [child], 90_000);
  return child;
}

const answers = (path: string): Promise<boolean> =>
  fetch(`${url}${path}`).then(
    ({ ok }) => ok,
    // Not listening yet, which is what is being asked.
    () => false,
  );

/** The console's paths are on the same address. */
const administrator = () => oidc.token({ sub: "dave", audience: "steno-console" });

async function endAll(): Promise<readonly Listed[]> {
  await endSessions({ console: () => url }, await administrator());
  const authorization = `Bearer ${await administrator()}`;
  const response = await fetch(`${url}/api/v1/sessions`, { headers: { authorization } });
  return ((await response.json()) as { readonly sessions: readonly Listed[] }).sessions;
}

test("stock git clones, pushes a branch, and is refused main with policy's words", async () => {
  const work = await client.clone(`${url}/git/code/app.git`);
  const id = await client.commit(work, "new.txt", "new\n");
  await client.git("-C", work, "push", "-q", "origin", "HEAD:refs/heads/topic");
  const refused = await client.attempt("-C", work, "push", "origin", "HEAD:main");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("main changes by review only");
  const refs = await refsOf(client, join(server.root, "app.git"));
  expect(refs).toContain(`${id} refs/heads/topic`);
  expect(refs).not.toContain(`${id} refs/heads/main`);
});

test("a git:// server is reached as well", async () => {
  await client.clone(`${url}/git/daemon/app.git`);
});

test("without a token nothing passes", async () => {
  expect((await fetch(`${url}/git/code/app.git/info/refs?service=git-upload-pack`)).status).toBe(401);
  expect((await fetch(`${url}/api/v1/sessions`)).status).toBe(401);
});

test("the session is sealed into the directory of npm run dev, and verifies", async () => {
  const ended = await endAll();
  expect(ended.reduce((sum, { denied }) => sum + denied, 0)).toBeGreaterThan(0);
  const { code, out } = await cli(["verify", archive], config, process.env);
  expect(out).toMatch(/^VALID COMPLETE sessions=\d+ frames=\d+\n$/);
  expect(code).toBe(0);
});

test("after a crash it goes on from the same objects, keys and archive", async () => {
  const before = (await endAll()).map(({ session }) => session);
  await dev.stop();
  dev = await start();
  await client.clone(`${url}/git/code/app.git`);
  const after = (await endAll()).map(({ session }) => session);
  expect(after).toEqual(expect.arrayContaining(before));
  expect(after.length).toBeGreaterThan(before.length);
  const { code, out } = await cli(["verify", archive], config, process.env);
  expect(out).toMatch(/^VALID COMPLETE /);
  expect(code).toBe(0);
});

test("what steno serve runs knows nothing of it: there keys are bindings that give no bytes", () => {
  expect(readFileSync(join(DIST, "main.js"), "utf8")).not.toContain("STENO_DEV");
});
