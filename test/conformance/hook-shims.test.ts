// Both shims, the shell's and Node's, through one node: the same events, the same answers, the same record.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endSessions } from "#test/support/git-site.ts";
import { runShim, type Said, SHIMS } from "#test/support/hook-shim.ts";
import { type Recording, readRecording } from "#test/support/recording.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";
import { VECTORS } from "#test/unit/hooks/events.ts";

const POLICY = `
@id("developers") @reason("developers may work with their agent")
permit (principal in Group::"developers", action in Action::"hooks", resource);
@id("not-carol") @reason("not here")
forbid (principal in Group::"security", action, resource);
`;

let oidc: OidcServer;
let node: Node;
let alice: string;
let carol: string;

beforeAll(async () => {
  oidc = await startOidc();
  const connections = ["cursor", "claude"].map((name) => ({ name, kind: "hooks" }));
  node = await startNode({ issuer: oidc.issuer, connections, policies: { "hooks.cedar": POLICY } });
  alice = await oidc.token({ sub: "alice", audience: "steno" });
  carol = await oidc.token({ sub: "carol", audience: "steno" });
});
afterAll(async () => {
  await node?.stop();
  await oidc?.stop();
});

const EVERY = (["cursor", "claude"] as const).flatMap((agent) =>
  [...VECTORS[agent]].map(([name, vector]) => ({ agent, name, ...vector })),
);
type Vector = (typeof EVERY)[number];

/** The same event of a conversation of its own. */
const within = ({ event }: Vector, conversation: string): string => {
  const own = (name: string) => (event[name] === undefined ? {} : { [name]: conversation });
  return JSON.stringify({ ...event, ...own("conversation_id"), ...own("session_id") });
};
const isLast = ({ name }: Vector) => /^sessionEnd$/i.test(name);

/** Some at a time: as many as an agent would run, and then those that end the conversation. */
async function tellAll(tell: (vector: Vector) => Promise<void>): Promise<void> {
  const waiting = EVERY.filter((vector) => !isLast(vector));
  const next = async (): Promise<void> => {
    for (let vector = waiting.shift(); vector; vector = waiting.shift()) await tell(vector);
  };
  await Promise.all([next(), next(), next(), next()]);
  for (const vector of EVERY.filter(isLast)) await tell(vector);
}

const env = (token = alice, more: Record<string, string> = {}) => ({
  HOME: node.directory,
  STENO_TOKEN: token,
  STENO_GATEWAY: node.gateway(),
  ...more,
});

/** By shim and event. */
const allowed = new Map<string, Said>();
let recording: Recording;

describe("every event there is a file of", () => {
  beforeAll(async () => {
    await tellAll(async (vector) => {
      for (const shim of SHIMS) {
        const said = await runShim(
          shim,
          [vector.agent, vector.name],
          within(vector, `${shim}-${vector.agent}`),
          env(),
        );
        allowed.set(`${shim} ${vector.agent} ${vector.name}`, said);
      }
    });
    await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
    recording = await readRecording(node.archive);
  });

  test.each(EVERY)("$agent $name is answered, and recorded as what it is", ({ agent, name, ...vector }) => {
    for (const shim of SHIMS) {
      const said = allowed.get(`${shim} ${agent} ${name}`);
      expect([said?.code, said?.err], shim).toEqual([0, ""]);
      expect(JSON.parse(said?.out ?? ""), shim).toEqual(vector.yes);
    }
    const found = [...recording.sessions.values()].flatMap((frames) => {
      const [first] = frames;
      const conversation = first?.k === "session.start" ? first.conversation : undefined;
      return frames.flatMap((frame) => {
        if (frame.k !== "request" || !("event" in frame.operation) || frame.operation.event !== name)
          return [];
        const hook = frames.find((other) => other.k === "hook" && other.x === frame.x);
        return [{ conversation, operation: frame.operation, hook }];
      });
    });
    expect(found, "once by each shim").toHaveLength(SHIMS.length);
    // What says no conversation is in the session of its client.
    const known = vector.event["conversation_id"] ?? vector.event["session_id"];
    const conversations = SHIMS.map((shim) => (known === undefined ? undefined : `${shim}-${agent}`));
    expect(found.map(({ conversation }) => conversation).toSorted()).toEqual(conversations.toSorted());
    for (const { operation, hook } of found) {
      expect(operation).toEqual(vector.operation);
      expect(hook).toMatchObject({ k: "hook", event: name, ...vector.frame });
    }
  });

  test("is sealed, and verifies", async () => {
    const { out } = await node.cli("verify", node.archive);
    expect(out).toMatch(/^VALID /m);
  });

  test("is refused in its own shape where it can be stopped, and fails loudly where it comes too late", async () => {
    await tellAll(async (vector) => {
      const { agent, name, no } = vector;
      const answers = [];
      for (const shim of SHIMS)
        answers.push(await runShim(shim, [agent, name], within(vector, "denied"), env(carol)));
      for (const { code, out, err } of answers) {
        const told = no === undefined ? "" : JSON.parse(out);
        expect([code, told], name).toEqual(no === undefined ? [1, ""] : [0, no]);
        expect(err, name).toBe(no === undefined ? "steno: the gateway says 403: not here\n" : "");
      }
    });
  });
});

describe.each(SHIMS)("the shim in %s", (shim) => {
  const event = JSON.stringify(VECTORS.cursor.get("beforeShellExecution")?.event);
  const tell = (
    more: Record<string, string> = {},
    args = ["cursor", "beforeShellExecution"],
    input = event,
  ) => runShim(shim, args, input, env(alice, more));

  test("takes an event that begins with a byte order mark, and one that ends its lines as Windows does", async () => {
    const pretty = JSON.stringify(JSON.parse(event), null, 2).replaceAll("\n", "\r\n");
    for (const input of [`\ufeff${event}`, `\ufeff${pretty}\r\n`]) {
      const { code, out } = await tell({}, undefined, input);
      expect([code, JSON.parse(out)]).toEqual([0, { permission: "allow" }]);
    }
  });

  test("takes an event of a megabyte whole", async () => {
    const content = "größer ".repeat(150_000);
    const read = JSON.stringify({ ...VECTORS.cursor.get("beforeReadFile")?.event, content });
    const { code, out } = await tell({}, ["cursor", "beforeReadFile"], read);
    expect([code, JSON.parse(out)]).toEqual([0, { permission: "allow" }]);
  });

  test("finds token and gateway in the files that are kept, whoever ended their lines", async () => {
    const config = join(node.directory, `config-${shim}`);
    mkdirSync(join(config, "steno"), { recursive: true });
    const given = { STENO_TOKEN: "", STENO_GATEWAY: "", XDG_CONFIG_HOME: config };
    for (const end of ["", "\n", "\r\n"]) {
      writeFileSync(join(config, "steno/token"), `${alice}${end}`, { mode: 0o600 });
      writeFileSync(join(config, "steno/gateway"), `${node.gateway()}/${end}`);
      const { code, out } = await tell(given);
      expect([code, JSON.parse(out)], JSON.stringify(end)).toEqual([0, { permission: "allow" }]);
    }
  });

  test("goes by no proxy, whatever the environment says", async () => {
    const proxy = "http://127.0.0.1:9";
    const { code } = await tell({
      ...{ http_proxy: proxy, HTTP_PROXY: proxy, ALL_PROXY: proxy, all_proxy: proxy },
      NODE_USE_ENV_PROXY: "1",
    });
    expect(code).toBe(0);
  });

  test("says nothing for Claude Code's registration when Cursor runs it", async () => {
    const args = ["claude", "PreToolUse"];
    const said = await tell({ CURSOR_VERSION: "3.20.17", STENO_TOKEN: "" }, args);
    expect(said).toEqual({ code: 0, out: "{}\n", err: "" });
    // In a terminal of Cursor, Claude Code is on its own.
    const asked = await tell({ CURSOR_VERSION: "3.20.17", STENO_TOKEN: "", CLAUDECODE: "1" }, args);
    expect(asked).toMatchObject({ code: 2, err: expect.stringContaining("there is no token") });
  });

  test.each([
    ["nobody answers", { STENO_GATEWAY: "http://127.0.0.1:9" }, "the gateway does not answer"],
    ["the token is not known", { STENO_TOKEN: "not.a.token" }, "the gateway says 401"],
    ["there is no token", { STENO_TOKEN: "" }, "there is no token"],
    ["the token is two words", { STENO_TOKEN: "two words" }, "the token is none"],
    ["the gateway has no address", { STENO_GATEWAY: "gateway:x" }, "the gateway"],
    ["the time is no number", { STENO_HOLD_SECONDS: "ten" }, "STENO_HOLD_SECONDS is not a number"],
  ])("stops what can be stopped where %s, and fails loudly where it cannot", async (_, more, why) => {
    const stopped = await tell(more);
    expect(stopped).toMatchObject({ code: 2, err: expect.stringMatching(/^steno: /) });
    expect(stopped.err).toContain(why);
    const reason = expect.stringContaining(why);
    expect(JSON.parse(stopped.out)).toEqual({
      permission: "deny",
      user_message: reason,
      agent_message: reason,
    });
    expect(await tell(more, ["claude", "PreToolUse"])).toMatchObject({ code: 2, out: "" });
    const prompt = await tell(more, ["cursor", "beforeSubmitPrompt"]);
    expect([prompt.code, JSON.parse(prompt.out)]).toEqual([2, { continue: false, user_message: reason }]);
    expect(await tell(more, ["cursor", "stop"])).toMatchObject({ code: 1, out: "" });
    expect(await tell(more, ["claude", "Stop"])).toMatchObject({ code: 1, out: "" });
  });

  test("stops whatever it is not told the event of", async () => {
    const gone = { STENO_TOKEN: "" };
    for (const args of [["cursor"], ["claude"], ["cursor", "beforeTeleport"], ["windsurf", "stop"], []])
      expect((await tell(gone, args)).code, args.join(" ")).toBe(args[1] === "stop" ? 1 : 2);
  });

  test.each([
    ["a page", 200, "<html>Sign in</html>", "the answer is not a gateway's"],
    ["nothing", 200, "", "the answer is not a gateway's"],
    ["a redirect", 302, "", "the gateway says 302"],
    ["an error full of quotes", 500, 'a "b" \\ c\nd', "the gateway says 500"],
    ["half an answer", 0, '{"permission":"al', "the gateway does not answer"],
  ])("takes %s of another server for a no", async (_, status, body, why) => {
    const another = await anotherServer(status, body);
    const { code, out, err } = await tell({ STENO_GATEWAY: another.url });
    await another.stop();
    expect([code, JSON.parse(out)]).toEqual([2, expect.objectContaining({ permission: "deny" })]);
    expect(err).toContain(why);
  });

  test("waits no longer for a server that says nothing than it was told to", async () => {
    const silent = await anotherServer(-1, "");
    const { code, err } = await tell({ STENO_GATEWAY: silent.url, STENO_HOOK_SECONDS: "1" });
    await silent.stop();
    expect([code, err]).toEqual([2, expect.stringContaining("the gateway does not answer")]);
  });

  test("has the token in no argument of any program", async () => {
    const silent = await anotherServer(-1, "");
    const waiting = tell({ STENO_GATEWAY: silent.url, STENO_HOOK_SECONDS: "100" });
    await silent.asked;
    const lines = readdirSync("/proc").flatMap((entry) => (/^\d+$/.test(entry) ? [commandLine(entry)] : []));
    await silent.stop();
    expect(lines.filter((text) => text.includes(silent.url) || text.includes("shim."))).not.toEqual([]);
    expect(lines.filter((text) => text.includes(alice))).toEqual([]);
    expect((await waiting).code).toBe(2);
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // It ended between the listing and the reading.
    return "";
  }
}

test("steno hook runs the shim, and prints either as one file that runs by itself", async () => {
  const event = JSON.stringify(VECTORS.cursor.get("preToolUse")?.event);
  const { out: printed } = await node.cli("hook", "--print", "node");
  const copy = join(node.directory, "copy.mjs");
  writeFileSync(copy, printed);
  const run = (args: string[]) =>
    execFileSync(process.execPath, args, { env: { PATH: process.env["PATH"], ...env() }, input: event });
  expect(JSON.parse(run([copy, "cursor", "preToolUse"]).toString())).toEqual({ permission: "allow" });
  const steno = join(import.meta.dirname, "../../scripts/steno.ts");
  expect(JSON.parse(run([steno, "hook", "cursor", "preToolUse"]).toString())).toEqual({
    permission: "allow",
  });
  const { out: shell } = await node.cli("hook", "--print", "sh");
  expect(`${shell.trimEnd()}\n`).toBe(
    readFileSync(join(import.meta.dirname, "../../scripts/hook/shim.sh"), "utf8"),
  );
  expect(await node.cli("hook", "windsurf")).toMatchObject({
    code: 2,
    err: expect.stringContaining("usage: steno hook"),
  });
});

/** A server at the gateway's address that is none. Status 0: it hangs up in the middle; -1: it never answers. */
async function anotherServer(status: number, body: string) {
  const sockets = new Set<Socket>();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      ask();
      if (status === -1) return;
      response.writeHead(status || 200, { "content-length": body.length + (status === 0 ? 10 : 0) });
      if (status !== 0) response.end(body);
      else response.write(body, () => response.destroy());
    });
  });
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
