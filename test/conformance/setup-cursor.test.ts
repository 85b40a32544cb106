// `steno setup cursor` against a running node, and then Cursor's part played by what it wrote: git, hooks, MCP servers.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GitSite, startGitSite } from "#test/support/git-site.ts";
import type { Said } from "#test/support/hook-shim.ts";
import { type McpTestServer, startMcp } from "#test/support/servers/mcp.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { CURSOR_EXAMPLES } from "#test/unit/hooks/events.ts";

const POLICY = `
@id("developers") @reason("developers work here")
permit (principal in Group::"developers", action, resource);
@id("no-rm") @reason("nothing is removed")
forbid (principal, action == Action::"shell.exec", resource) when { context.programs.contains("rm") };
`;
const CONVERSATION = String(CURSOR_EXAMPLES.get("stop")?.["conversation_id"]);
const STENO = join(import.meta.dirname, "../../scripts/steno.ts");

let site: GitSite;
let server: McpTestServer;
let token: string;
let home: string;

beforeAll(async () => {
  server = await startMcp();
  site = await startGitSite({
    policies: { "all.cedar": POLICY },
    connections: () => [
      { name: "tracker", kind: "mcp", upstream: server.url },
      { name: "cursor", kind: "hooks" },
    ],
  });
  await tinyRepository(join(site.server.root, "app.git"));
  token = await site.token();
  // With letters in its path that shells and git's configuration have a meaning for.
  home = mkdtempSync(join(tmpdir(), "steno 'home' $x \"y\" "));
  mkdirSync(join(home, ".cursor"));
  writeFileSync(join(home, ".cursor/mcp.json"), '{ "mcpServers": { "theirs": { "command": "true" } } }\n');
  writeFileSync(
    join(home, ".gitconfig"),
    "[user]\n\tname = Ada\n\temail = ada@example.test\n[init]\n\tdefaultBranch = main\n",
  );
});
afterAll(async () => {
  if (home) rmSync(home, { recursive: true, force: true });
  await site?.stop();
  await server?.stop();
});

type Environment = Readonly<Record<string, string | undefined>>;
function run(
  program: string,
  args: string[],
  more: { env?: Environment; input?: string; cwd?: string } = {},
) {
  const { promise, resolve } = Promise.withResolvers<Said>();
  const env = {
    PATH: process.env["PATH"],
    HOME: home,
    GIT_TERMINAL_PROMPT: "0",
    LC_ALL: "C.UTF-8",
    ...more.env,
  };
  const child = execFile(program, args, { env, cwd: more.cwd ?? home }, (error, out, err) =>
    resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
  );
  child.stdin?.once("error", () => undefined).end(more.input ?? "");
  return promise;
}
const steno = (args: string[], more: Parameters<typeof run>[2] = {}) =>
  run(process.execPath, [STENO, ...args], more);
const read = (path: string) => JSON.parse(readFileSync(join(home, ".cursor", path), "utf8"));
const tree = () =>
  readdirSync(home, { recursive: true, encoding: "utf8" })
    .filter((path) => !path.startsWith("work"))
    .toSorted();

/** What Cursor makes of `${env:NAME}`. */
const interpolated = (text: string, env: Environment): string =>
  text.replaceAll(/\$\{env:(\w+)\}/g, (_, name: string) => env[name] ?? "");

async function callEcho(client: Client, transport: StdioClientTransport | StreamableHTTPClientTransport) {
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  const { content } = await client.callTool({ name: "echo", arguments: { text: "through" } });
  await client.close();
  return content;
}

test("without a token it says so, and writes nothing; with one that is kept it asks the gateway what there is", async () => {
  const before = tree();
  const gone = await steno(["setup", "cursor", "--gateway", site.node.gateway()]);
  expect(gone).toMatchObject({ code: 2, err: expect.stringContaining("there is no token") });
  const wrong = await steno(["setup", "cursor", "--gateway", site.node.gateway()], {
    env: { STENO_TOKEN: "x" },
  });
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("Not authenticated") });
  expect(tree()).toEqual(before);
  expect((await steno(["token", "keep"], { input: `${token}\n` })).code).toBe(0);
  const { code, out, err } = await steno(["setup", "cursor", "--gateway", site.node.gateway(), "--json"]);
  expect([code, err]).toEqual([0, ""]);
  const { files } = JSON.parse(out) as { files: { state: string }[] };
  expect(files.map(({ state }) => state)).toEqual(Array(6).fill("written"));
  const again = await steno(["setup", "cursor"]);
  expect([again.code, again.out.match(/^\w+/gm)]).toEqual([0, Array(6).fill("unchanged")]);
});

test("git clones and pushes what it always did, by way of the gateway, with the kept token", async () => {
  const remote = `${site.tap.url}/auth/app.git`;
  const clone = await run("git", ["clone", "-q", remote, join(home, "work")]);
  expect([clone.code, clone.err]).toEqual([0, ""]);
  const work = { cwd: join(home, "work") };
  writeFileSync(join(home, "work/new.txt"), "new\n");
  // The terminal of a conversation.
  const terminal = { ...work, env: { CURSOR_CONVERSATION_ID: CONVERSATION } };
  for (const args of [
    ["switch", "-qc", "topic"],
    ["add", "."],
    ["commit", "-qm", "new"],
    ["push", "-q", "origin", "topic"],
  ])
    expect(await run("git", args, terminal), args.join(" ")).toMatchObject({ code: 0 });
  // The remote is what it was, and nobody else got to keep the token.
  expect((await run("git", ["config", "remote.origin.url"], work)).out.trim()).toBe(remote);
  expect((await run("git", ["config", "--list"], work)).out).not.toContain(token);
  // Whatever reached the git server came with the gateway's credential.
  expect(site.tap.passed.length).toBeGreaterThan(2);
});

test("git is told to stop, and why, when the token is gone", async () => {
  const kept = readFileSync(join(home, ".config/steno/token"), "utf8");
  await steno(["logout"]);
  const { code, err } = await run("git", ["ls-remote", `${site.tap.url}/auth/app.git`]);
  expect([code, err]).toEqual([128, expect.stringContaining("there is no token: set STENO_TOKEN")]);
  await steno(["token", "keep"], { input: kept });
});

test("a hook's command, run as Cursor runs it, asks the gateway", async () => {
  const { hooks } = read("hooks.json") as {
    hooks: Record<string, [{ command: string; failClosed: boolean }]>;
  };
  const tell = (event: string, more: object = {}) =>
    run("sh", ["-c", hooks[event]?.[0].command ?? "false"], {
      input: JSON.stringify({ ...CURSOR_EXAMPLES.get(event), ...more }),
      env: { CURSOR_VERSION: "3.20.17" },
      cwd: join(home, ".cursor"),
    });
  const allowed = await tell("beforeShellExecution");
  expect([allowed.code, JSON.parse(allowed.out)]).toEqual([0, { permission: "allow" }]);
  const denied = await tell("beforeShellExecution", { command: "rm -rf /" });
  expect(JSON.parse(denied.out)).toMatchObject({ permission: "deny", user_message: "nothing is removed" });
  expect(await tell("stop")).toEqual({ code: 0, out: "{}\n", err: "" });
});

test("an MCP client that is configured from mcp.json calls a tool through the gateway, by HTTP and by the bridge", async () => {
  const { mcpServers } = read("mcp.json") as { mcpServers: Record<string, { url: string; headers: object }> };
  expect(Object.keys(mcpServers)).toEqual(["theirs", "tracker"]);
  const { url = "", headers } = mcpServers["tracker"] ?? {};
  const given = JSON.parse(interpolated(JSON.stringify(headers), { STENO_TOKEN: token })) as Record<
    string,
    string
  >;
  const web = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: given } });
  const through = [{ type: "text", text: "through" }];
  expect(await callEcho(new Client({ name: "cursor", version: "1.0.0" }), web)).toEqual(through);

  expect((await steno(["setup", "cursor", "--mcp", "stdio"])).code).toBe(0);
  const { command, args } = read("mcp.json").mcpServers.tracker as { command: string; args: string[] };
  const env = { PATH: process.env["PATH"] ?? "", HOME: home };
  const bridge = new StdioClientTransport({ command, args, env });
  expect(await callEcho(new Client({ name: "cursor", version: "1.0.0" }), bridge)).toEqual(through);
  expect(server.called).toEqual(["echo", "echo"]);
});

test("--remove leaves what was there before, and git goes its own way again", async () => {
  const { code, out } = await steno(["setup", "cursor", "--remove"]);
  expect([code, out.match(/^\w+/gm)?.toSorted()]).toEqual([
    0,
    ["removed", "removed", "removed", "removed", "written", "written"],
  ]);
  expect(tree()).toEqual([
    ".config",
    ".config/steno",
    ".config/steno/token",
    ".cursor",
    ".cursor/mcp.json",
    ".gitconfig",
  ]);
  expect(readFileSync(join(home, ".cursor/mcp.json"), "utf8")).toBe(
    '{ "mcpServers": { "theirs": { "command": "true" } } }\n',
  );
  const direct = await run("git", ["ls-remote", `${site.tap.url}/auth/app.git`]);
  expect(direct.err).toContain("could not read Username");
});

test("all of it is in the record, and git's part in the session of the conversation", async () => {
  const { verdict } = await site.seal();
  expect(verdict).toMatch(/^VALID /m);
  const { exchanges, sessions } = await site.recording();
  const kinds = new Set([...exchanges.values()].map(({ request }) => request.operation.kind));
  for (const kind of ["git.fetch", "git.push", "shell.exec", "agent.stop", "mcp.tools/call"])
    expect(kinds).toContain(kind);
  const [conversation] = [...sessions.values()].filter(
    ([first]) => first?.k === "session.start" && first.conversation === CONVERSATION,
  );
  const done = conversation?.flatMap((frame) => (frame.k === "request" ? [frame.operation.kind] : []));
  expect(done).toEqual(expect.arrayContaining(["git.push", "shell.exec", "agent.stop"]));
});
