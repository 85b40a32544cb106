import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Bench, killHard, type Served, until } from "./served.ts";

const bench = new Bench();
beforeAll(() => bench.bundle(), 60_000);
afterAll(() => bench.clear(), 60_000);

const CONNECTION =
  '[[connections]]\nname = "p"\nkind = "git"\nupstream = "http://127.0.0.1:9/"\ncredential = "env:TOKEN"\n';
const SECRET = "hush-7d1f";

type Said = { stallSeconds: number; kept: number };
const ask = async (served: Served, path = "/"): Promise<Said> =>
  (await (await fetch(served.url("gateway") + path)).json()) as Said;

/** Connections of their own, one after another, until stopped; counts those that were refused. */
function knock(served: Served) {
  const counts = { answered: 0, closed: 0, refused: 0 };
  let on = true;
  const done = (async () => {
    while (on) {
      try {
        await (await fetch(served.url("gateway"), { headers: { connection: "close" } })).text();
        counts.answered++;
      } catch (thrown) {
        const code = ((thrown as Error).cause as { code?: string } | undefined)?.code;
        if (code === "ECONNREFUSED") counts.refused++;
        else counts.closed++;
      }
    }
  })();
  return async () => {
    on = false;
    await done;
    return counts;
  };
}

test("a node says where it listens, each service sees its own bindings only, and SIGTERM leaves nothing behind", async () => {
  const served = bench.node("one", CONNECTION);
  expect(await served.start({ TOKEN: SECRET })).toBe("ready");
  const sees = (await (await fetch(`${served.url("gateway")}/sees`)).json()) as Record<string, unknown>;
  expect(sees).toEqual({
    gateway: {
      GATEWAY_SETTINGS: "Object",
      EVALUATOR: "Fetcher",
      EGRESS: "Fetcher",
      ISSUERS: "Fetcher",
      ANALYZER: "Fetcher",
      APPEND: "Fetcher",
      HOLD: "Fetcher",
      PINS: "Fetcher",
    },
    outside: "refused",
    evaluator: {
      evaluator: { EVALUATOR_SETTINGS: "Object", POLICIES: "Fetcher" },
      listing: [{ name: "none.cedar", type: "file" }],
    },
    egress: {
      egress: {
        EGRESS_SETTINGS: "Object",
        SPOOL: "Fetcher",
        CLEARANCE_KEY: "CryptoKey",
        UPSTREAM_0: "Fetcher",
        CREDENTIAL_0: "String",
      },
      credential: SECRET,
      spooled: 1,
    },
  });
  const { read, console } = (await (await fetch(served.url("console"))).json()) as Record<string, object>;
  expect(Object.keys(console ?? {})).toEqual([
    "CONSOLE_SETTINGS",
    "READ",
    "KILL",
    "CUSTODY",
    "DECIDE",
    "STANDING",
    "SCOPE",
    "ISSUERS",
  ]);
  expect(read).toMatchObject({ signed: 64, archive: 200 });
  served.signal("SIGTERM");
  expect(await served.exited()).toBe(0);
  expect(served.alive()).toEqual([]);
});

test("no file of a running node holds a secret of its environment, and its keys are its owner's alone", async () => {
  const served = bench.node("files", CONNECTION);
  expect(await served.start({ TOKEN: SECRET })).toBe("ready");
  const state = join(served.directory, ".steno");
  const files = readdirSync(state, { recursive: true, encoding: "utf8" }).map((path) => join(state, path));
  const read = files.filter((path) => statSync(path).isFile());
  expect(read.some((path) => path.endsWith("single.capnp"))).toBe(true);
  expect(read.filter((path) => readFileSync(path).includes(SECRET))).toEqual([]);
  expect(statSync(state).mode & 0o777).toBe(0o700);
  const keys = read.filter((path) => /\.(pem|key)$/.test(path));
  expect(keys.length).toBeGreaterThanOrEqual(5);
  expect(keys.filter((path) => (statSync(path).mode & 0o077) !== 0)).toEqual([]);
  const [pid] = served.workerds().values();
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8")
    .split("\0")
    .map((pair) => pair.split("=")[0]);
  expect(environment.filter((name) => !["", "PATH", "PWD", "OLDPWD", "_"].includes(name ?? ""))).toEqual([
    "STENO_CREDENTIAL_0",
  ]);
  await served.kill();
});

test.each(["single", "split"])(
  "%s: killing a workerd with -9 refuses no connection, and loses nothing",
  async (topology) => {
    const served = bench.node(`kill-${topology}`, `[serve]\ntopology = "${topology}"\n`);
    await served.start();
    const { kept } = await ask(served);
    const stop = knock(served);
    for (const [name, pid] of served.workerds()) {
      killHard(pid);
      await until(() => (served.workerds().get(name) ?? pid) !== pid);
      await until(() => served.out.includes("starting it again"));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    const counts = await stop();
    expect(counts.refused).toBe(0);
    expect(counts.answered).toBeGreaterThan(0);
    expect((await ask(served)).kept).toBeGreaterThan(kept + counts.answered);
    served.signal("SIGTERM");
    expect(await served.exited()).toBe(0);
    expect(served.alive()).toEqual([]);
  },
);

test.each(["single", "split"])(
  "%s: SIGHUP applies a configuration; what is under way ends, nothing is refused",
  async (topology) => {
    const serve = `[serve]\ntopology = "${topology}"\n`;
    const served = bench.node(`hup-${topology}`, serve);
    await served.start();
    expect((await ask(served)).stallSeconds).toBe(60);
    const stop = knock(served);
    const slow = ask(served, "/slow");
    await new Promise((resolve) => setTimeout(resolve, 200));
    served.configure(`${serve}stall_seconds = 7\n`);
    served.signal("SIGHUP");
    await served.says("reloaded");
    expect((await slow).stallSeconds).toBe(60);
    expect((await ask(served)).stallSeconds).toBe(7);
    expect((await stop()).refused).toBe(0);
    await served.kill();
  },
);

test("SIGHUP with a wrong configuration, or one that needs other sockets, changes nothing", async () => {
  const served = bench.node("wrong");
  expect(await served.start()).toBe("ready");
  served.configure("[serve]\nstal_seconds = 7\n");
  served.signal("SIGHUP");
  await served.says("the running configuration stays");
  expect(served.out).toContain('steno.toml:5: unknown key "stal_seconds", did you mean "stall_seconds"?');
  served.configure('[serve]\ntopology = "split"\n');
  served.signal("SIGHUP");
  await served.says("stop and start to apply");
  expect((await ask(served)).stallSeconds).toBe(60);
  await served.kill();
});

test("a serve that is killed with -9 leaves nothing behind, and the next one starts on its state", async () => {
  const served = bench.node("killed", '[serve]\ntopology = "split"\n');
  expect(await served.start()).toBe("ready");
  const { kept } = await ask(served);
  expect(served.workerds().size).toBe(3);
  await served.kill();
  expect(await served.start()).toBe("ready");
  expect((await ask(served)).kept).toBe(kept + 1);
  await served.kill();
});

test("a holder that is killed ends serve with 1, and no workerd outlives it", async () => {
  const served = bench.node("holder");
  expect(await served.start()).toBe("ready");
  killHard(served.holder());
  expect(await served.exited()).toBe(1);
  expect(served.out).toContain("error: serve: single ended with SIGKILL");
  await until(() => served.alive().length === 0);
});

test("a second serve on one state directory is refused, and says who runs", async () => {
  const first = bench.node("twice");
  expect(await first.start()).toBe("ready");
  const second = bench.node("twice");
  expect(await second.start()).toBe(2);
  expect(second.out).toContain(`another steno serve (pid ${first.pid}) runs on`);
  expect((await ask(first)).kept).toBe(1);
  await first.kill();
});

test("what cannot be served exits 2 and says every reason", async () => {
  const served = bench.node("unset", `${CONNECTION}[policy]\ndir = "./absent"\n`);
  expect(await served.start()).toBe(2);
  expect(served.out).toContain("error: credential of p: environment variable TOKEN is not set");
  expect(served.out).toMatch(/error: policy.dir: \S*absent is not a directory/);
  const taken = bench.node("free");
  expect(await taken.start()).toBe("ready");
  const port = new URL(taken.url("gateway")).port;
  const late = bench.node("late");
  late.configure("");
  await taken.says("ready");
  const { writeFileSync } = await import("node:fs");
  writeFileSync(join(late.directory, "steno.toml"), `[listen]\nagents = "127.0.0.1:${port}"\n`);
  expect(await late.start()).toBe(2);
  expect(late.out).toContain(`cannot listen on 127.0.0.1:${port}: the address is in use`);
  await taken.kill();
});
