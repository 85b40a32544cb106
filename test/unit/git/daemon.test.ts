import { randomBytes } from "node:crypto";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GitDaemon, startGitDaemon } from "#test/support/servers/git-daemon.ts";
import { type DaemonSocket, overDaemon } from "#workers/adapters/git/daemon.ts";
import { type Gateway, type Send, startGateway } from "./gateway.ts";
import { commit, git, gitBytes, makeWorkspace, tryGit, type Workspace, working } from "./repository.ts";

let workspace: Workspace;
let daemon: GitDaemon;
let gateway: Gateway;
let source: string;
let tip: string;
let count = 0;
const sockets: Socket[] = [];

/** A Node socket as `cloudflare:sockets` would hand it out. */
function connectTo(port: number): () => DaemonSocket {
  return () => {
    const socket = dial({ port, host: "127.0.0.1", allowHalfOpen: true });
    sockets.push(socket);
    const { readable, writable } = Duplex.toWeb(socket);
    const close = async (): Promise<void> => void socket.destroy();
    return { readable: readable as ReadableStream<Uint8Array>, writable, close };
  };
}

const over =
  (port: number): Send =>
  ({ outgoing }, body) => {
    const headers = new Headers(outgoing.headers.map(([name, value]) => [name, value]));
    const request = new Request(`http://egress${outgoing.path}`, { method: outgoing.method, headers });
    const bytes = body.byteLength > 0 ? new Uint8Array(body) : null;
    return overDaemon(connectTo(port), {
      host: `127.0.0.1:${port}`,
      base: "/team%20one/",
      request,
      body: bytes,
    });
  };

beforeAll(async () => {
  workspace = makeWorkspace();
  daemon = await startGitDaemon();
  await daemon.createRepository("team one/app.git");
  gateway = await startGateway(over(daemon.port));
  source = await working(workspace, "source");
  for (let i = 0; i < 5; i++) tip = await commit(workspace, source, "a.txt", `${i}`);
  await git(workspace, source, "remote", "add", "origin", `${gateway.url}/app.git`);
});
afterAll(async () => {
  await gateway.stop();
  await daemon.stop();
  workspace.remove();
});

const clone = async (...args: string[]): Promise<string> => {
  const path = join(workspace.home, `clone-${count++}`);
  await git(workspace, workspace.home, ...args, `${gateway.url}/app.git`, path);
  return path;
};

test("a push through the gateway reaches the daemon, and its report comes back", async () => {
  const { code, stderr } = await tryGit(workspace, source, "push", "origin", "main");
  expect(stderr).toContain("[new branch]");
  expect(code).toBe(0);
  expect(await git(workspace, source, "ls-remote", "origin", "main")).toContain(tip);
});

test("a push of megabytes in chunks, a refused ref and a deletion pass as well", async () => {
  await git(workspace, source, "checkout", "-q", "-b", "big");
  const next = await commit(workspace, source, "big.bin", randomBytes(5 << 20));
  await git(workspace, source, "push", "-q", "origin", "big");
  expect(await git(workspace, source, "ls-remote", "origin", "big")).toContain(next);
  await git(workspace, source, "push", "-q", "origin", ":big");
  expect(await git(workspace, source, "ls-remote", "origin", "big")).toBe("");
  await git(workspace, source, "checkout", "-q", "main");
});

test.each([0, 1, 2])("a clone over v%i, then a fetch after a long negotiation", async (version) => {
  const path = await clone("-c", `protocol.version=${version}`, "clone", "-q");
  expect(await git(workspace, path, "rev-parse", "HEAD")).toBe(tip);
  const local = Array.from(
    { length: 200 },
    (_, i) => `commit refs/heads/local\ncommitter A <a@b> ${2_000_000_000 + i} +0000\ndata 1\nx\n`,
  );
  await gitBytes(workspace, path, ["fast-import", "--quiet"], local.join(""));
  tip = await commit(workspace, source, "a.txt", `version ${version}`);
  await git(workspace, source, "push", "-q", "origin", "main");
  gateway.passed.length = 0;
  await git(workspace, path, "-c", `protocol.version=${version}`, "fetch", "-q");
  expect(await git(workspace, path, "rev-parse", "origin/main")).toBe(tip);
  const rounds = gateway.passed
    .map(({ inspected }) => inspected.operation)
    .filter(({ kind }) => kind === "git.fetch");
  expect(rounds.length).toBeGreaterThan(1);
  const encodings = gateway.passed.map(({ incoming }) => incoming.request.headers.get("content-encoding"));
  expect(encodings).toContain("gzip");
});

test.each([0, 2])("shallow and partial clones over v%i, and deepening them", async (version) => {
  const path = await clone(
    "-c",
    `protocol.version=${version}`,
    "clone",
    "-q",
    "--depth=1",
    "--filter=blob:none",
    "--no-checkout",
  );
  expect(await git(workspace, path, "rev-list", "--count", "HEAD")).toBe("1");
  await git(workspace, path, "-c", `protocol.version=${version}`, "fetch", "-q", "--deepen=2");
  expect(await git(workspace, path, "rev-list", "--count", "HEAD")).toBe("3");
});

test("a repository the daemon does not serve is refused in its words, without the path above it", async () => {
  const { code, stderr } = await tryGit(workspace, workspace.home, "clone", `${gateway.url}/none.git`);
  expect(code).toBeGreaterThan(0);
  expect(stderr).toContain("remote error: The git server says: no such repository: /none.git");
});

test("no connection to the daemon stays open", async () => {
  await expect.poll(() => sockets.filter((socket) => !socket.destroyed).length).toBe(0);
});

const asked = (method: string, path: string) =>
  ({ host: "h", base: "/", request: new Request(`http://egress${path}`, { method }), body: null }) as const;

async function against(serve: (socket: Socket) => void, path: string, method = "GET"): Promise<Response> {
  const server: Server = createServer(serve);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  try {
    return await overDaemon(connectTo(port), asked(method, path));
  } finally {
    server.close();
  }
}

test.each([
  ["hangs up at once", (socket: Socket) => socket.end()],
  ["hangs up within a packet", (socket: Socket) => socket.end("0040abc")],
  ["speaks no git", (socket: Socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
  ["sends an error", (socket: Socket) => socket.end("000cERR no!!")],
])("a daemon that %s is a refusal", async (_, serve) => {
  for (const [path, method] of [
    ["/app/info/refs?service=git-upload-pack", "GET"],
    ["/app/git-upload-pack", "POST"],
  ] as const) {
    await expect(against(serve, path, method)).rejects.toMatchObject({ code: "upstream_protocol" });
  }
});

test("a daemon that takes a request and answers nothing is a refusal", async () => {
  const answer = against((socket) => socket.end("0000"), "/app/git-upload-pack", "POST");
  await expect(answer).rejects.toMatchObject({ code: "upstream_protocol" });
});

test("a daemon that is not there is unreachable", async () => {
  const answer = overDaemon(connectTo(1), asked("GET", "/app/info/refs?service=git-upload-pack"));
  await expect(answer).rejects.toMatchObject({ code: "upstream_unreachable" });
});
