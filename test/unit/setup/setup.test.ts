// What `steno setup cursor` writes, for whom, and where it writes nothing at all.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parse } from "jsonc-parser";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Disk, NODE_DISK } from "#scripts/setup/disk.ts";
import { setup } from "#scripts/setup/setup.ts";
import { Kept } from "#test/unit/cli/gateway.ts";
import { CURSOR_EVENTS } from "#workers/adapters/hooks/agent/cursor.ts";
import { GATEWAY, Home } from "./home.ts";

let home: Home;
beforeEach(() => {
  home = new Home();
});
afterEach(() => home.remove());

describe("what is written", () => {
  test("asks the gateway at every event there is, once, first, closed when it fails, and for longer than the shim waits", async () => {
    home.put(".cursor/hooks.json", '{"version":1,"hooks":{"stop":[{"command":"./done.sh"}]}}');
    await home.setup();
    const hooks = (home.json(".cursor/hooks.json") as { hooks: Record<string, { command: string }[]> }).hooks;
    expect(Object.keys(hooks).toSorted()).toEqual([...CURSOR_EVENTS].toSorted());
    for (const [event, [ours, ...more]] of Object.entries(hooks)) {
      const command = `${home.path}/.cursor/hooks/steno-hook.sh cursor ${event}`;
      expect(ours).toEqual({ command, timeout: 600, failClosed: true });
      expect(more).toEqual(event === "stop" ? [{ command: "./done.sh" }] : []);
    }
    expect(home.read(".cursor/hooks.json")).not.toContain("//");
    expect(statSync(join(home.path, ".cursor/hooks/steno-hook.sh")).mode & 0o777).toBe(0o755);
  });

  test("leaves out events that an older Cursor does not know, when it is told which", async () => {
    await home.setup(["--without", "workspaceOpen", "--without", "afterTabFileEdit"]);
    const { hooks } = home.json(".cursor/hooks.json") as { hooks: object };
    const others = CURSOR_EVENTS.filter((event) => !/^(workspaceOpen|afterTabFileEdit)$/.test(event));
    expect(Object.keys(hooks).toSorted()).toEqual(others.toSorted());
    await expect(home.setup(["--without", "workspaceopen"])).rejects.toThrow("did you mean workspaceOpen?");
  });

  test("holds no token, and the sandbox lets the gateway be reached", async () => {
    await home.setup([], NODE_DISK, { STENO_TOKEN: "s3cret-token" });
    expect(JSON.stringify(home.seen())).not.toContain("s3cret-token");
    expect(home.json(".cursor/sandbox.json")).toEqual({
      networkPolicy: { default: "deny", allow: ["gw.example.test"] },
    });
    expect(home.read(".config/steno/gateway")).toBe(`${GATEWAY}\n`);
  });

  test.each([
    [
      "token",
      { url: `${GATEWAY}/mcp-token/tracker`, headers: { Authorization: `Bearer \${env:STENO_TOKEN}` } },
    ],
    ["oauth", { url: `${GATEWAY}/mcp/tracker` }],
    [
      "stdio",
      {
        type: "stdio",
        command: process.execPath,
        args: [expect.stringContaining("steno.mjs"), "mcp", "tracker", "--gateway", GATEWAY],
      },
    ],
  ])("reaches MCP servers by %s", async (way, entry) => {
    await home.setup(["--mcp", way]);
    expect(home.json(".cursor/mcp.json")).toEqual({ mcpServers: { tracker: entry } });
  });

  test("leads remotes to the gateway, those of SSH too where that is asked for", async () => {
    await home.setup();
    expect(home.read(".gitconfig")).toContain(
      `[url "${GATEWAY}/git/code/"]\n\tinsteadOf = "https://git.example.test/"\n[url "${GATEWAY}/git/old/"]\n\tinsteadOf = "git://old.example.test:9418/"\n\tinsteadOf = "git://old.example.test/"\n`,
    );
    await home.setup(["--ssh"]);
    expect(home.read(".gitconfig")).toContain(
      '\tinsteadOf = "git@git.example.test:"\n\tinsteadOf = "ssh://git@git.example.test/"\n',
    );
  });

  test("follows other connections and another gateway, and takes the old ones out", async () => {
    home.put(".cursor/mcp.json", '{ "mcpServers": { "other": { "command": "x" } } }');
    const before = home.seen();
    await home.setup();
    writeFileSync(
      home.config,
      '[[connections]]\nname = "second"\nkind = "mcp"\nupstream = "https://m.example"\n',
    );
    const { code, err } = await home.setup(["--gateway", "http://127.0.0.1:8787", "--mcp", "oauth"]);
    expect([code, err]).toEqual([0, [expect.stringContaining("no connection cursor of kind hooks")]]);
    expect(home.json(".cursor/mcp.json")).toEqual({
      mcpServers: { other: { command: "x" }, second: { url: "http://127.0.0.1:8787/mcp/second" } },
    });
    expect(home.json(".cursor/sandbox.json")).toMatchObject({ networkPolicy: { allow: ["127.0.0.1/32"] } });
    for (const path of [".gitconfig", ".cursor/hooks.json", ".cursor/hooks/steno-hook.sh"])
      expect(existsSync(join(home.path, path)), path).toBe(false);
    await home.setup(["--remove"]);
    expect(home.seen()).toEqual(before);
  });

  test("is only printed with --print, whatever is there", async () => {
    home.put(
      ".cursor/mcp.json",
      '{"mcpServers":{"tracker":{"url":"https://direct","headers":{"x":"s3cret"}}}}',
    );
    const before = home.seen();
    const { code, out } = await home.setup(["--print", "--json"]);
    expect([code, home.seen()]).toEqual([0, before]);
    const { files } = JSON.parse(out[0] ?? "") as { files: { path: string; text: string }[] };
    expect(files.map(({ path }) => path.slice(home.path.length + 1)).toSorted()).toEqual(
      [
        ".config/steno/gateway",
        ".cursor/hooks.json",
        ".cursor/hooks/steno-hook.sh",
        ".cursor/mcp.json",
        ".cursor/sandbox.json",
        ".gitconfig",
      ].toSorted(),
    );
    expect(out.join("")).not.toContain("s3cret");
    expect((await home.setup(["--print"])).out.join("\n")).toContain(
      `# ${home.path}/.gitconfig\n# steno setup`,
    );
  });
});

describe("a project", () => {
  test("has its own files, the shim by its name in them, and git's configuration of the clone", async () => {
    const project = join(home.base, "app");
    mkdirSync(join(project, ".git/objects"), { recursive: true });
    mkdirSync(join(project, ".git/refs"));
    writeFileSync(join(project, ".git/HEAD"), "ref: refs/heads/main\n");
    writeFileSync(join(project, ".git/config"), "[core]\n\tbare = false\n");
    const [before, own] = [home.seen(project), home.seen()];
    const { code, err } = await home.setup(["--project", project, "--shim", "node"]);
    expect([code, err]).toEqual([0, expect.arrayContaining([expect.stringContaining("on each machine")])]);
    const hooks = readFileSync(join(project, ".cursor/hooks.json"), "utf8");
    expect(parse(hooks)).toMatchObject({
      hooks: { stop: [{ command: "node .cursor/hooks/steno-hook.mjs cursor stop" }] },
    });
    expect(readFileSync(join(project, ".git/config"), "utf8")).toContain(`[url "${GATEWAY}/git/code/"]`);
    expect(readFileSync(join(project, ".cursor/steno.json"), "utf8")).not.toContain(home.base);
    expect(home.seen()).toEqual(own);
    // In another clone, which has the files but not git's configuration.
    const clone = join(home.base, "clone");
    mkdirSync(join(clone, ".cursor/hooks"), { recursive: true });
    for (const path of readdirSync(join(project, ".cursor"), { recursive: true, encoding: "utf8" }))
      if (statSync(join(project, ".cursor", path)).isFile())
        writeFileSync(join(clone, ".cursor", path), readFileSync(join(project, ".cursor", path)));
    expect((await home.setup(["--project", clone, "--remove"])).code).toBe(0);
    expect(Object.keys(home.seen(clone))).toEqual([]);
    expect((await home.setup(["--project", project, "--remove"])).code).toBe(0);
    expect(home.seen(project)).toEqual(before);
  });

  test("that is no repository gets no configuration of git, and is told", async () => {
    const project = join(home.base, "notes");
    mkdirSync(project);
    const env = { GIT_CEILING_DIRECTORIES: home.base };
    const { code, err } = await home.setup(["--project", project], NODE_DISK, env);
    expect([code, err]).toEqual([
      0,
      expect.arrayContaining([expect.stringContaining("no repository of git")]),
    ]);
    await expect(home.setup(["--project", join(home.base, "nowhere")])).rejects.toThrow(
      "there is no directory",
    );
  });
});

describe("where somebody changed a file since", () => {
  test("theirs stays, and ours is taken out by name", async () => {
    home.put(".cursor/mcp.json", '{\n  "mcpServers": {}\n}\n');
    await home.setup();
    const change = (path: string, from: string, to: string) => {
      expect(home.read(path)).toContain(from);
      home.put(path, home.read(path).replace(from, to));
    };
    change(".cursor/mcp.json", '"mcpServers": {', '"mcpServers": {\n    "mine": { "command": "x" },');
    change(".cursor/hooks.json", '"version": 1', '"mine": true, "version": 1');
    change(".cursor/sandbox.json", '"gw.example.test"', '"gw.example.test", // it\n      "mine.example"');
    home.put(".gitconfig", `[user]\n\tname = Ada\n${home.read(".gitconfig")}[pull]\n\trebase = true\n`);
    // Setup finds everything there, and leaves their order alone.
    const changed = home.seen();
    const again = await home.setup();
    expect(again.out.filter((line) => line.startsWith("written") && line.endsWith(".json"))).toEqual([]);
    expect(home.seen()[".cursor/mcp.json"]).toBe(changed[".cursor/mcp.json"]);
    expect((await home.setup(["--remove"])).code).toBe(0);
    expect(home.json(".cursor/mcp.json")).toEqual({ mcpServers: { mine: { command: "x" } } });
    expect(home.json(".cursor/hooks.json")).toEqual({ mine: true });
    expect(home.json(".cursor/sandbox.json")).toEqual({
      networkPolicy: { allow: ["mine.example"] },
    });
    expect(home.read(".gitconfig")).toBe("[user]\n\tname = Ada\n[pull]\n\trebase = true\n");
    expect(existsSync(join(home.path, ".cursor/steno.json"))).toBe(false);
  });

  test("a shim of ours that they changed is left, named, and nothing else is touched", async () => {
    await home.setup();
    home.put(".cursor/hooks/steno-hook.sh", `${home.read(".cursor/hooks/steno-hook.sh")}# mine\n`);
    const before = home.seen();
    for (const args of [["--remove"], []]) {
      const { code, err } = await home.setup(args);
      expect([code, err]).toEqual([1, [expect.stringMatching(/steno-hook\.sh was changed since setup/)]]);
      expect(home.seen()).toEqual(before);
    }
  });
});

describe("nothing at all is written where", () => {
  test.each<[string, string, string | Uint8Array, string]>([
    ["a file is no JSON", ".cursor/mcp.json", '{"mcpServers": {', "mcp.json is not JSON"],
    ["a file is no object", ".cursor/sandbox.json", "[]", "sandbox.json holds no JSON object"],
    ["a list is none", ".cursor/hooks.json", '{"version":1,"hooks":{"stop":{}}}', "hooks.stop is no array"],
    [
      "hooks are of another version",
      ".cursor/hooks.json",
      '{"version":2}',
      "says version 2: only 1 is known",
    ],
    [
      "a server has a name of ours",
      ".cursor/mcp.json",
      '{"mcpServers":{"tracker":{"url":"https://m"}}}',
      'has a server "tracker" that is not ours',
    ],
    [
      "the sandbox denies the gateway",
      ".cursor/sandbox.json",
      '{"networkPolicy":{"deny":["gw.example.test"]}}',
      "denies gw.example.test",
    ],
    [
      "another gateway is kept",
      ".config/steno/gateway",
      "https://other.example\n",
      "gateway is there already",
    ],
    [
      "a shim is there that nobody recorded",
      ".cursor/hooks/steno-hook.sh",
      "#!/bin/sh\n",
      "is there already, and not by setup",
    ],
    [
      "hooks call a shim that nobody recorded",
      ".cursor/hooks.json",
      '{"version":1,"hooks":{"stop":[{"command":"/x/steno-hook.sh cursor stop"}]}}',
      "nobody knows who put that there",
    ],
    ["git cannot read its configuration", ".gitconfig", "[user\n", ".gitconfig stays as it is"],
  ])("%s", async (_, path, text, why) => {
    home.put(path, text);
    const before = home.seen();
    const { code, out, err } = await home.setup();
    expect([code, out]).toEqual([1, []]);
    expect(err).toEqual([expect.stringContaining(why)]);
    expect(home.seen()).toEqual(before);
  });

  test.each<[string, string, string | Uint8Array, string]>([
    ["a file is no text", ".cursor/mcp.json", new Uint8Array([123, 0xff, 125]), "is no UTF-8"],
    [
      "the record of what was written cannot be read",
      ".cursor/steno.json",
      "{}",
      "nothing is changed without it",
    ],
  ])("%s", async (_, path, text, why) => {
    home.put(path, text);
    const before = home.seen();
    await expect(home.setup()).rejects.toThrow(why);
    expect(home.seen()).toEqual(before);
  });

  test("everything that is in the way is named at once", async () => {
    home.put(".cursor/mcp.json", "{");
    home.put(".cursor/hooks.json", "[]");
    expect((await home.setup()).err).toHaveLength(2);
  });

  test.each([
    [["windsurf"], "say setup cursor"],
    [["--mcp", "sse"], "--mcp is one of token, oauth, stdio"],
    [["--shim", "fish"], "--shim is sh or node"],
    [["--remove", "--print"], "--remove takes out"],
    [["--gateway", "https://gw.example/?x=1"], "has no user, password, query"],
    [["--gateway", "gw.example"], "is not a URL"],
  ])("it is called %j", async (args, why) => {
    if (args[0] === "windsurf") await expect(setup(args, new Kept({ HOME: home.path }))).rejects.toThrow(why);
    else await expect(home.setup(args)).rejects.toThrow(why);
    expect(home.seen()).toEqual({});
  });
});

test("a link stays one, and what it leads to has the additions, with its mode", async () => {
  home.put("dotfiles/gitconfig", "[user]\n\tname = Ada\n", 0o600);
  symlinkSync(join(home.path, "dotfiles/gitconfig"), join(home.path, ".gitconfig"));
  chmodSync(join(home.path, "dotfiles/gitconfig"), 0o600);
  await home.setup();
  expect(lstatSync(join(home.path, ".gitconfig")).isSymbolicLink()).toBe(true);
  expect(home.read("dotfiles/gitconfig")).toContain("insteadOf");
  expect(statSync(join(home.path, "dotfiles/gitconfig")).mode & 0o777).toBe(0o600);
  await home.setup(["--remove"]);
  expect(home.read("dotfiles/gitconfig")).toBe("[user]\n\tname = Ada\n");
});

test("hooks behind a link are set up, and it is said that Cursor may not read them", async () => {
  home.put("dotfiles/hooks.json", '{ "version": 1 }');
  home.put(".cursor/argv.json", "{}");
  symlinkSync(join(home.path, "dotfiles/hooks.json"), join(home.path, ".cursor/hooks.json"));
  const { code, err } = await home.setup();
  expect([code, err]).toEqual([0, expect.arrayContaining([expect.stringContaining("hooks.json is a link")])]);
  expect(home.read("dotfiles/hooks.json")).toContain("steno-hook.sh cursor stop");
  await home.setup(["--remove"]);
  expect(home.read("dotfiles/hooks.json")).toBe('{ "version": 1 }');
});

test("what leads past the gateway is named", async () => {
  home.put(".gitconfig", '[url "https://mirror.example/"]\n\tinsteadOf = https://git.example.test/team/\n');
  expect((await home.setup()).err).toEqual(
    expect.arrayContaining([
      "note: https://git.example.test/team/ is led to https://mirror.example/ by insteadof, past the gateway",
    ]),
  );
});

test("a file that changes while it is being replaced is not lost", async () => {
  home.put(".cursor/mcp.json", "{}");
  const disk: Disk = {
    ...NODE_DISK,
    replace(path, text, before, mode) {
      if (path.endsWith("mcp.json")) home.put(".cursor/mcp.json", '{"theirs":1}');
      NODE_DISK.replace(path, text, before, mode);
    },
  };
  await expect(home.setup([], disk)).rejects.toThrow("was changed by somebody else a moment ago");
  expect(home.read(".cursor/mcp.json")).toBe('{"theirs":1}');
  expect((await home.setup()).code).toBe(0);
  await home.setup(["--remove"]);
  expect(home.read(".cursor/mcp.json")).toBe('{"theirs":1}');
});
