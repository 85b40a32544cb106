import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { session } from "#scripts/cli/session.ts";
import { ABSENT, ALICE, MINE, NOW, OTHERS, Recorder, view } from "#test/unit/api/recorder.ts";
import { consoleApi } from "#workers/api/console-api.ts";
import { sessionRoutes } from "#workers/api/sessions.ts";
import { Kept, type Served, served } from "./gateway.ts";

let recorder: Recorder;
let gateway: Served;
let consoleSocket: Served;
let home: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "steno-cli-"));
  const only = (wanted: string) => {
    if (wanted !== "Bearer tok") throw new Refusal("unauthenticated", "the token was not accepted");
    return ALICE;
  };
  gateway = await served((request) =>
    sessionRoutes({
      append: recorder.append,
      hold: recorder.hold,
      authenticate: async ({ headers }) => only(headers.get("authorization") ?? ""),
      log: () => {},
    }).fetch(request),
  );
  consoleSocket = await served((request) =>
    consoleApi({
      read: recorder,
      kill: recorder.kill,
      custody: recorder.custody,
      decide: recorder.decide,
      now: () => NOW,
      loginSeconds: 300,
      standingSeconds: 7200,
      standing: recorder.standing,
      scope: recorder.scope,
      roles: { auditor: ["eng"], approver: [], admin: ["eng"], privacy: ["eng"] },
      authenticate: async (token) => ({ principal: only(`Bearer ${token}`), expires: 0 }),
      log: () => {},
    }).fetch(request),
  );
});
beforeEach(() => {
  recorder = new Recorder();
});
afterAll(async () => {
  await Promise.all([gateway.stop(), consoleSocket.stop()]);
  rmSync(home, { recursive: true });
});

const kept = (env: Record<string, string> = {}) =>
  new Kept({
    HOME: home,
    XDG_CONFIG_HOME: join(home, "config"),
    STENO_GATEWAY: gateway.url,
    STENO_CONSOLE: consoleSocket.url,
    STENO_TOKEN: "tok",
    ...env,
  });

test("all sessions are listed, one a line, from the console", async () => {
  const terminal = kept();
  expect(await session(["list"], terminal)).toBe(0);
  expect(terminal.printed).toEqual([
    `${MINE}  open     2026-11-22T09:00:00.000Z  alice  git/2.39.5  frames=3 denied=0`,
    `${OTHERS}  open     2026-11-22T09:00:00.000Z  bob  git/2.39.5  frames=3 denied=0`,
  ]);
});

test("one's own sessions are listed and shown from the agents' socket", async () => {
  const terminal = kept({ STENO_CONSOLE: "http://127.0.0.1:1" });
  expect(await session(["list", "--mine"], terminal)).toBe(0);
  expect(await session(["show", MINE, "--mine"], terminal)).toBe(0);
  expect(terminal.printed).toHaveLength(1 + 10);
  expect(terminal.printed).toContain("principal alice of https://idp.example");
});

test("for programs there is the JSON that the gateway sent", async () => {
  const terminal = kept();
  for (const args of [["list"], ["show", MINE], ["kill", MINE], ["end", MINE]]) {
    expect(await session([...args, "--json"], terminal)).toBe(0);
  }
  const [list, ...views] = terminal.printed.map((line) => JSON.parse(line) as unknown);
  expect(list).toEqual({ sessions: [...recorder.views.values()] });
  expect(views).toEqual([recorder.views.get(MINE), recorder.views.get(MINE), recorder.views.get(MINE)]);
});

test("one ends one's own session on the agents' socket, and an admin kills on the console", async () => {
  const terminal = kept();
  expect(await session(["end", MINE], terminal)).toBe(0);
  expect(await session(["kill", OTHERS], terminal)).toBe(0);
  expect(terminal.printed).toEqual([`ended ${MINE} open frames=3`, `killed ${OTHERS} open frames=3`]);
  expect(recorder.calls).toContainEqual(["end", "alice", MINE]);
  expect(recorder.calls).toContainEqual(["kill", OTHERS, "alice"]);
});

test("what others wrote cannot steer the terminal", async () => {
  recorder.views.set(MINE, view(MINE, { ...ALICE, subject: "a\u202eb\u001b[2J" }, { client: "x\ny" }));
  const terminal = kept();
  await session(["list"], terminal);
  await session(["show", MINE], terminal);
  expect(terminal.printed.join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(terminal.printed).toHaveLength(2 + 10);
});

test("a no of the gateway is one line and exit 1", async () => {
  for (const args of [
    ["show", ABSENT],
    ["end", OTHERS],
  ]) {
    const terminal = kept();
    expect(await session(args, terminal)).toBe(1);
    expect(terminal.complaints).toEqual([
      expect.stringMatching(/^steno session: Not .*\[urn:uuid:[0-9a-f-]+\]$/),
    ]);
    expect(terminal.printed).toEqual([]);
  }
});

describe("it says in one sentence why it could not run", () => {
  test.each([
    ["a token that is not accepted", { STENO_TOKEN: "old" }, "Not authenticated: the token was not accepted"],
    [
      "a gateway that is not there",
      { STENO_CONSOLE: "http://127.0.0.1:1" },
      "http://127.0.0.1:1 cannot be reached",
    ],
    ["a URL that is none", { STENO_CONSOLE: "gateway:8788" }, "STENO_CONSOLE is not a URL"],
    ["no token", { STENO_TOKEN: "" }, "there is no token: set STENO_CONSOLE_TOKEN"],
    ["a token of two words", { STENO_TOKEN: "a b" }, "STENO_TOKEN holds no token"],
  ])("%s", async (_what, env, sentence) => {
    await expect(session(["list"], kept(env))).rejects.toThrow(sentence);
  });

  test("a recorder that is gone", async () => {
    recorder.broken = new Error("disk full");
    await expect(session(["list"], kept())).rejects.toThrow("Something is wrong inside the gateway");
  });

  test.each([
    ["another server", () => new Response("<html>"), "is not a Steno gateway"],
    ["another JSON", () => Response.json({ ok: true }), "answer is not understood"],
    ["an error of a proxy", () => new Response("Bad Gateway", { status: 502 }), "answered 502"],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { location: "http://x/" } }),
      "cannot be reached",
    ],
  ])("%s", async (_what, answer, sentence) => {
    const other = await served(answer);
    await expect(session(["list", "--console", other.url], kept())).rejects.toThrow(sentence);
    await other.stop();
  });

  test.each([[[]], [["stop"]], [["show"]], [["show", "ses_1"]], [["list", MINE]], [["kill", "../x"]]])(
    "a mistake in the call: %j",
    async (args) => {
      await expect(session(args, kept())).rejects.toMatchObject({ name: "UsageFault" });
      expect(recorder.calls).toEqual([]);
    },
  );
});

test("a token is read from a file that only its owner can read", async () => {
  const directory = join(home, "config", "steno");
  mkdirSync(directory, { recursive: true });
  const file = join(directory, "token");
  writeFileSync(file, "tok\n", { mode: 0o600 });
  expect(await session(["list"], kept({ STENO_TOKEN: "" }))).toBe(0);
  writeFileSync(join(directory, "console-token"), "other\n", { mode: 0o600 });
  await expect(session(["list"], kept({ STENO_TOKEN: "" }))).rejects.toThrow("not accepted");
  expect(await session(["list", "--mine"], kept({ STENO_TOKEN: "" }))).toBe(0);
  chmodSync(file, 0o640);
  await expect(session(["list", "--mine"], kept({ STENO_TOKEN: "" }))).rejects.toThrow(
    "can be read by others",
  );
});
