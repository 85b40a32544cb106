/** `npm run demo`, run as a newcomer runs it, and the evidence it leaves, checked with and without our code. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderSource } from "#scripts/verify/folder.ts";
import { blocksOf, runBlock, stenoShim } from "#test/support/documents.ts";
import { until, workspace } from "#test/support/servers/children.ts";
import { cli } from "#test/support/steno.ts";

const ROOT = join(import.meta.dirname, "../..");
const home = workspace("demo");
const made: string[] = [];

type Demo = {
  readonly child: ChildProcess;
  out(): string;
  err(): string;
  readonly ended: Promise<number | null>;
};

function startDemo(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Demo {
  const child = spawn(process.execPath, [join(ROOT, "scripts/demo.ts"), ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  const ended = once(child, "close").then(([code]) => {
    const directory = found(out, /^evidence (.+)$/m) ?? found(err, /what there was is in (.+)$/m);
    if (directory !== undefined) made.push(directory.replace(/\/evidence$/, ""));
    return code as number | null;
  });
  return { child, out: () => out, err: () => err, ended };
}

const found = (text: string, pattern: RegExp): string | undefined => pattern.exec(text)?.[1];
const SEALED = /^sealed (ses_[0-9A-HJKMNP-TV-Z]{26}) frames=(\d+) root=([0-9a-f]{64}) verify=ok$/;

afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
  home.remove();
});

describe("npm run demo", () => {
  let out = "";
  let code: number | null = null;
  let seconds = 0;
  let evidence = "";
  let session = "";

  beforeAll(async () => {
    const began = performance.now();
    const demo = startDemo();
    code = await demo.ended;
    seconds = (performance.now() - began) / 1000;
    expect(demo.err()).toBe("");
    out = demo.out();
    evidence = found(out, /^evidence (.+)$/m) ?? "";
    session = SEALED.exec(out.trimEnd().split("\n").at(-1) ?? "")?.[1] ?? "";
  });

  test("is the build and the demo, and ends with 0 in under two minutes", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(scripts.demo).toBe("node scripts/build.ts && node scripts/demo.ts");
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(110);
  });

  test("says where the gateway, the console and the evidence are, and last what was sealed", () => {
    expect(out).toMatch(/^gateway http:\/\/127\.0\.0\.1:\d+$/m);
    expect(out).toMatch(/^console http:\/\/127\.0\.0\.1:\d+$/m);
    expect(out).toMatch(/^evidence \/.+$/m);
    expect(out.trimEnd().split("\n").at(-1)).toMatch(SEALED);
  });

  test("reports who did what, and what was refused and why", () => {
    expect(out).toMatch(/^who +cursor for Alice Archer \(alice; developers\)/m);
    expect(out).toMatch(/^recorded +\d+ exchanges in \d+ frames: .*git\.fetch.*git\.push/m);
    expect(out).toMatch(/^masked +1 of secrets$/m);
    expect(out).toMatch(/^recorded .*1 prompt\.submit.*1 llm\.chat.*1 mcp\.tools\/call.*1 file\.read/m);
    expect(out).toMatch(
      /^approved +git\.push create refs\/heads\/release\/1\.0: Bob Baker: tested by hand$/m,
    );
    expect(out).toMatch(
      /^denied +git\.push create refs\/heads\/release\/2\.0: Bob Baker: not before the fair$/m,
    );
    expect(out).toMatch(/^refused +file\.read: files that hold secrets are not for agents/m);
    expect(out).toContain("deploy with the token [masked:secrets] as before");
    expect(out).toMatch(/^pushed +[0-9a-f]{12} Cursor: Greet people$/m);
    expect(out).toMatch(/^refused +git\.push update refs\/heads\/main: main changes by review only/m);
    expect(out).toMatch(
      /^refused +git\.push force refs\/heads\/agent\/greeting: force pushes are forbidden/m,
    );
  });

  test("leaves the evidence and its configuration, and nothing else", () => {
    expect(existsSync(join(evidence, "trust/seal.pub"))).toBe(true);
    const directory = dirname(evidence);
    expect(["agent", "git", "node", "serve.log"].filter((name) => existsSync(join(directory, name)))).toEqual(
      [],
    );
  });

  test("leaves evidence that verifies again, and whose seal names the printed root and size", async () => {
    const verified = await cli(["verify", evidence, "--json"], "", process.env);
    expect(verified.code).toBe(0);
    const [, , frames = "", root = ""] = SEALED.exec(out.trimEnd().split("\n").at(-1) ?? "") ?? [];
    expect(JSON.parse(verified.out)).toMatchObject({
      integrity: "VALID",
      completeness: "COMPLETE",
      findings: [],
    });
    const { head } = await sealedHead(evidence);
    expect(head.size).toBe(Number(frames));
    expect(Buffer.from(head.rootHash, "base64").toString("hex")).toBe(root);
  });

  test("leaves evidence in which one flipped byte of any object is found, and the object named", async () => {
    const copy = join(home.path, "flipped");
    cpSync(evidence, copy, { recursive: true });
    const objects: string[] = [];
    for await (const key of folderSource(copy).list("")) objects.push(key);
    expect(objects.length).toBeGreaterThanOrEqual(6);
    for (const object of objects) {
      const path = join(copy, object);
      const whole = readFileSync(path);
      const flipped = Buffer.from(whole);
      const middle = flipped.length >> 1;
      flipped.writeUInt8(flipped.readUInt8(middle) ^ 1, middle);
      chmodSync(path, 0o640);
      writeFileSync(path, flipped);
      const verified = await cli(["verify", copy], "", process.env);
      expect(verified.code, object).toBe(1);
      expect(verified.out).toContain(` ${object}: `);
      writeFileSync(path, whole);
    }
    expect((await cli(["verify", copy], "", process.env)).code).toBe(0);
  });

  const documents = ["README.md", "docs/auditors.md"];
  const blocks = documents.flatMap((path) => blocksOf(path, readFileSync(join(ROOT, path), "utf8")));
  const executed = blocks.filter(({ mark }) => mark.endsWith(" run evidence"));

  test.each(executed)("leaves evidence for which $at does what it says", async ({ at, mark, body }) => {
    const directory = join(home.path, at.replaceAll(/\W/g, "-"));
    mkdirSync(directory);
    const path = stenoShim(directory);
    copyFileSync(join(dirname(evidence), "steno.toml"), join(directory, "steno.toml"));
    copyFileSync(join(evidence, "trust/seal.pub"), join(directory, "seal.pub"));
    // Where a block needs other people's packages, an auditor has installed them.
    symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
    const env = { EVIDENCE: evidence, SESSION: session };
    const ran = await runBlock(mark.startsWith("ts") ? "ts" : "sh", body, { cwd: directory, env, path });
    expect(ran.code, ran.err + ran.out).toBe(0);
    const expected = [...body.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)].map(([, value]) => value);
    if (mark.startsWith("ts")) expect(ran.out.trimEnd().split("\n")).toEqual(expected);
    else
      expectInOrder(
        ran.out,
        [...body.matchAll(/^# prints: (.+)$/gm)].map(([, words = ""]) => words),
      );
  });
});

/** What a block says it prints, each after what is said before it. */
function expectInOrder(out: string, told: readonly string[]): void {
  let from = 0;
  for (const words of told) {
    const at = out.indexOf(words, from);
    expect(at, `${words} in ${out.slice(from)}`).toBeGreaterThanOrEqual(from);
    from = at + words.length;
  }
}

async function sealedHead(evidence: string): Promise<{ head: { size: number; rootHash: string } }> {
  const source = folderSource(evidence);
  for await (const key of source.list("sessions/")) {
    if (!key.endsWith("/seal.sigstore.json")) continue;
    const { dsseEnvelope } = JSON.parse(Buffer.from((await source.get(key)) ?? []).toString("utf8"));
    return JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString("utf8")).predicate;
  }
  throw new Error(`${evidence} has no seal`);
}

test("npm run demo -- --keep leaves everything running until Ctrl-C, then ends with 0 and leaves nothing running", async () => {
  const demo = startDemo(["--keep"]);
  await until(() => SEALED.test(demo.out().trimEnd().split("\n").at(-1) ?? ""), "the demo", [], 100_000);
  const [, token = "", url = ""] = /^auditor +curl -H "Authorization: (.+)" (\S+)$/m.exec(demo.out()) ?? [];
  const sessions = await fetch(url, { headers: { authorization: token } });
  expect(sessions.status).toBe(200);
  expect(JSON.stringify(await sessions.json())).toContain('"sealed"');
  const gateway = found(demo.out(), /^gateway (.+)$/m);
  expect((await fetch(`${gateway}/readyz`)).status).toBe(200);
  demo.child.kill("SIGINT");
  expect(await demo.ended).toBe(0);
  await expect(fetch(`${gateway}/healthz`)).rejects.toThrow("fetch failed");
});

test("a step that fails ends the demo with its name and exit 1", async () => {
  const bin = join(home.path, "broken");
  mkdirSync(bin);
  writeFileSync(join(bin, "git"), "#!/bin/sh\necho this git is broken >&2\nexit 3\n");
  chmodSync(join(bin, "git"), 0o755);
  const demo = startDemo([], { PATH: `${bin}:${process.env["PATH"]}` });
  expect(await demo.ended).toBe(1);
  expect(demo.err()).toContain("demo: could not start the git server: git init");
  expect(demo.err()).toContain("this git is broken");
});

test("a demo that is interrupted ends with 1, and its node goes with it", async () => {
  const demo = startDemo();
  await until(() => /^gateway /m.test(demo.out()), "the gateway", [], 60_000);
  const gateway = found(demo.out(), /^gateway (.+)$/m);
  demo.child.kill("SIGTERM");
  expect(await demo.ended).toBe(1);
  expect(demo.err()).toContain("interrupted");
  await expect(fetch(`${gateway}/healthz`)).rejects.toThrow("fetch failed");
});

test("a demo that is killed takes its node with it", async () => {
  const demo = startDemo();
  await until(() => /^gateway /m.test(demo.out()), "the gateway", [], 60_000);
  const gateway = found(demo.out(), /^gateway (.+)$/m);
  demo.child.kill("SIGKILL");
  await demo.ended;
  const gone = () =>
    fetch(`${gateway}/healthz`).then(
      () => false,
      () => true,
    );
  await until(gone, "the node to end");
});
