// What a machine keeps for a gateway: who reads it, who is told, and git's protocol for credentials.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { baseOf } from "#scripts/cli/client.ts";
import { credential } from "#scripts/token/credential.ts";
import { logout, token } from "#scripts/token/token.ts";
import { Kept } from "./gateway.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");
const now = () => NOW;
const jwt = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
const GOOD = jwt({ iss: "https://idp.example", sub: "alice", aud: ["steno"], exp: NOW / 1000 + 600 });
const OLD = jwt({ sub: "alice", exp: NOW / 1000 });
const GATEWAY = "https://gw.example:8443";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "steno-token-"));
});
afterEach(() => rmSync(home, { recursive: true }));

const terminal = (env: Record<string, string> = {}) =>
  new Kept({ HOME: home, XDG_CONFIG_HOME: join(home, "config"), ...env });
const file = (name = "token") => join(home, "config/steno", name);
async function* said(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe("git asks", () => {
  async function ask(input: string, more: { env?: Record<string, string>; args?: string[] } = {}) {
    const kept = terminal({ STENO_TOKEN: GOOD, ...more.env });
    const args = more.args ?? ["get", "--gateway", GATEWAY];
    expect(await credential(args, kept, said(input), now)).toBe(0);
    return { out: kept.printed, err: kept.complaints };
  }
  const OURS = 'protocol=https\nhost=gw.example:8443\nwwwauth[]=Basic realm="steno"\n\n';

  test("and is told the token, which other helpers may not keep longer than it holds", async () => {
    const { out } = await ask(OURS);
    expect(out).toEqual(["username=steno", `password=${GOOD}`, `password_expiry_utc=${NOW / 1000 + 600}`]);
    // A token that is no JWT says nothing of its end.
    expect((await ask(OURS, { env: { STENO_TOKEN: "opaque" } })).out).toEqual([
      "username=steno",
      "password=opaque",
    ]);
  });

  test("and is told the conversation of the agent whose terminal it runs in", async () => {
    const userIn = async (env: Record<string, string>) => (await ask(OURS, { env })).out[0];
    expect(await userIn({ CURSOR_CONVERSATION_ID: "c0ffee-1" })).toBe("username=conversation.c0ffee-1");
    expect(await userIn({ CURSOR_CONVERSATION_ID: "c0ffee-1", STENO_CONVERSATION: "own" })).toBe(
      "username=conversation.own",
    );
    for (const odd of ["", "a:b", "a b", "a\nb", "x".repeat(201)])
      expect(await userIn({ CURSOR_CONVERSATION_ID: odd }), odd).toBe("username=steno");
  });

  test("by the gateway that is kept, when its configuration names none", async () => {
    mkdirSync(join(home, "config/steno"), { recursive: true });
    writeFileSync(file("gateway"), `${GATEWAY}/\n`);
    expect((await ask(OURS, { args: ["get"] })).out).toContain(`password=${GOOD}`);
    expect((await ask(OURS, { args: ["get"], env: { STENO_GATEWAY: "https://other.example" } })).out).toEqual(
      [],
    );
  });

  test.each([
    ["another host", "protocol=https\nhost=git.example\n\n"],
    ["another port", "protocol=https\nhost=gw.example\n\n"],
    ["another scheme", "protocol=http\nhost=gw.example:8443\n\n"],
    ["a host that begins alike", "protocol=https\nhost=gw.example:8443.evil.example\n\n"],
    ["a host behind a user's name", "protocol=https\nhost=gw.example:8443@evil.example\n\n"],
    ["no host", "protocol=https\n\n"],
    ["nothing", ""],
    ["a host after the end", "protocol=https\n\nhost=gw.example:8443\n"],
    ["a host that is said twice, the last one another", `${OURS.trimEnd()}\nhost=evil.example\n\n`],
  ])("for %s, and is told nothing", async (_, input) => {
    expect(await ask(input)).toEqual({ out: [], err: [] });
    expect(await ask(input, { args: ["erase", "--gateway", GATEWAY] })).toEqual({ out: [], err: [] });
  });

  test.each([
    ["there is no token", { STENO_TOKEN: "" }, "there is no token"],
    ["the token has expired", { STENO_TOKEN: OLD }, "the token has expired, 2026-11-26T12:00:00.000Z"],
    ["the token is two words", { STENO_TOKEN: "a b" }, "STENO_TOKEN holds no token"],
  ])("where %s: told to stop, and why, instead of asking a person", async (_, env, why) => {
    const { out, err } = await ask(OURS, { env });
    expect(out).toEqual(["quit=1"]);
    expect(err).toEqual([expect.stringContaining(why)]);
  });

  test("to store or erase it, which changes nothing; a token that was refused is said to be", async () => {
    await token(["keep"], terminal(), said(GOOD), now);
    const args = (action: string) => ({ args: [action, "--gateway", GATEWAY], env: { STENO_TOKEN: "" } });
    expect(await ask(`${OURS.trimEnd()}\nusername=steno\npassword=x\n\n`, args("store"))).toEqual({
      out: [],
      err: [],
    });
    const { out, err } = await ask(OURS, args("erase"));
    expect([out, err]).toEqual([[], [expect.stringContaining("does not take this token")]]);
    expect(readFileSync(file(), "utf8")).toBe(`${GOOD}\n`);
    expect(await ask(OURS, args("capability"))).toEqual({ out: [], err: [] });
  });

  test("in more letters than git has", async () => {
    await expect(credential(["get"], terminal(), said("x".repeat(2 << 20)), now)).rejects.toThrow(
      "longer than git",
    );
  });
});

describe("steno token", () => {
  test("keeps what it reads, for its owner alone, and says whose it is, never the token", async () => {
    const kept = terminal();
    expect(await token(["keep"], kept, said(`${GOOD}\r\n`), now)).toBe(0);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(statSync(join(file(), "..")).mode & 0o777).toBe(0o700);
    expect(kept.printed).toEqual([
      `token ${file()}`,
      "issuer https://idp.example",
      "subject alice",
      "audience steno",
      "expires 2026-11-26T12:10:00.000Z",
    ]);
    expect(kept.printed.join()).not.toContain(GOOD);
    const json = terminal();
    expect(await token(["--json"], json, said(""), now)).toBe(0);
    expect(JSON.parse(json.printed[0] ?? "")).toMatchObject({ path: file(), sub: "alice", expired: false });
  });

  test("replaces a token that others could read by one they cannot", async () => {
    mkdirSync(join(home, "config/steno"), { recursive: true });
    writeFileSync(file(), "old\n", { mode: 0o644 });
    await expect(token([], terminal(), said(""), now)).rejects.toThrow("can be read by others");
    await token(["keep"], terminal(), said(GOOD), now);
    expect([readFileSync(file(), "utf8"), statSync(file()).mode & 0o777]).toEqual([`${GOOD}\n`, 0o600]);
  });

  test.each([
    ["two words", "a b"],
    ["nothing", "\n"],
    ["control characters", "a\u0007"],
    ["a book", "x".repeat(70_000)],
  ])("does not keep %s, and what was kept stays", async (_, text) => {
    await token(["keep"], terminal(), said(GOOD), now);
    await expect(token(["keep"], terminal(), said(text), now)).rejects.toThrow(/holds no token|too long/);
    expect(readFileSync(file(), "utf8")).toBe(`${GOOD}\n`);
  });

  test("exits 1 when there is none, or it has expired", async () => {
    const none = terminal();
    expect(await token([], none, said(""), now)).toBe(1);
    expect(none.complaints).toEqual([expect.stringContaining(`there is no token in ${file()}`)]);
    const old = terminal();
    expect(await token(["keep"], old, said(OLD), now)).toBe(1);
    expect(old.complaints).toEqual(["it has expired"]);
  });

  test("cannot be steered by what a token says of itself", async () => {
    const kept = terminal();
    await token(["keep"], kept, said(jwt({ sub: "a\u001b[2J\u202eb" })), now);
    expect(kept.printed.join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const opaque = terminal();
    for (const text of [
      "opaque",
      "a.b.c",
      `a.${Buffer.from("[1").toString("base64url")}.c`,
      jwt({ exp: "soon" }),
    ])
      expect(await token(["keep"], opaque, said(text), now)).toBe(0);
  });

  test("is forgotten by steno logout, the console's too", async () => {
    await token(["keep"], terminal(), said(GOOD), now);
    await token(["keep", "--console"], terminal(), said(GOOD), now);
    const kept = terminal();
    expect(await logout([], kept)).toBe(0);
    expect(kept.printed).toEqual([`forgotten ${file()}`, `forgotten ${file("console-token")}`]);
    expect([existsSync(file()), existsSync(file("console-token"))]).toEqual([false, false]);
    const again = terminal();
    expect(await logout([], again)).toBe(0);
    expect(again.printed).toEqual(["there was no token"]);
  });
});

test("the gateway is the flag's, the environment's, the one that is kept, or the one on loopback", () => {
  const { env } = terminal();
  const base = (flag?: string, more: object = {}) => baseOf("agents", flag, { ...env, ...more }).href;
  expect(base()).toBe("http://127.0.0.1:8787/");
  mkdirSync(join(home, "config/steno"), { recursive: true });
  writeFileSync(file("gateway"), "https://kept.example\r\n");
  expect(base()).toBe("https://kept.example/");
  expect(base(undefined, { STENO_GATEWAY: "https://env.example" })).toBe("https://env.example/");
  expect(base("https://flag.example", { STENO_GATEWAY: "https://env.example" })).toBe(
    "https://flag.example/",
  );
  expect(baseOf("console", undefined, env).href).toBe("http://127.0.0.1:8788/");
  writeFileSync(file("gateway"), "nowhere\n");
  expect(() => base()).toThrow(`${file("gateway")} is not a URL`);
});
