/** `steno export` and `steno replay` as they are called, on archives as they lie on disk; bundles are read by stock git. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Commit } from "#durable/format/frame.ts";
import { framesName } from "#durable/format/layout.ts";
import { concat, utf8 } from "#durable/proof/bytes.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { collectEvidence } from "#scripts/export/evidence.ts";
import { exportSession } from "#scripts/export/export.ts";
import { readPageEvidence } from "#scripts/export/read-page.ts";
import { writePage } from "#scripts/export/write-page.ts";
import { replay } from "#scripts/replay/replay.ts";
import { workspace } from "#test/support/servers/children.ts";
import { bytesSession, claim, inlineSession, type Pushed, requestPush } from "../proof/corpus.ts";
import { Archive, type Objects, type Recording, source } from "../proof/recording.ts";

const home = workspace("export");
afterAll(() => home.remove());

function write(name: string, objects: Objects): string {
  for (const [key, bytes] of objects) {
    mkdirSync(join(home.path, name, dirname(key)), { recursive: true });
    writeFileSync(join(home.path, name, key), bytes);
  }
  return join(home.path, name);
}

/** Runs a command; its exit code and what it printed. */
async function run(
  command: typeof exportSession,
  ...args: string[]
): Promise<{ code: number; out: string[] }> {
  const out: string[] = [];
  const code = await command(args, { env: {}, out: (line) => out.push(line), err: (line) => out.push(line) });
  return { code, out };
}

let archive: Archive;
let root: string;
let inline: Recording;
let bytes: Recording;
beforeAll(async () => {
  archive = new Archive();
  inline = await inlineSession(archive);
  bytes = await bytesSession(archive);
  root = write("archive", archive.objects);
});

describe("steno export", () => {
  test("takes an archive with --session, a session's folder in it, and a session's folder on its own", async () => {
    const alone = write(
      "alone",
      new Map(
        [...archive.objects].flatMap(([key, stored]) => {
          const own = key.startsWith(inline.folder) ? key.slice(inline.folder.length) : key;
          return own.startsWith("sessions/") ? [] : [[own, stored] as const];
        }),
      ),
    );
    const outputs: string[] = [];
    for (const [i, args] of [
      [root, "--session", inline.session],
      [join(root, inline.folder)],
      [alone],
    ].entries()) {
      const output = join(home.path, `har-${i}`);
      expect(await run(exportSession, ...args, "--har", "-o", output)).toMatchObject({ code: 0 });
      outputs.push(readFileSync(output, "utf8"));
    }
    expect(new Set(outputs).size).toBe(1);
    expect(outputs[0]).toContain(inline.session);
  });

  test("asks which session, and which form, when it cannot know", async () => {
    await expect(run(exportSession, root, "--har")).rejects.toThrow(UsageFault);
    await expect(run(exportSession, root, "--session", "ses_x", "--har")).rejects.toThrow(UsageFault);
    await expect(run(exportSession, root, "--session", inline.session)).rejects.toThrow("--html");
    await expect(run(exportSession, root, "--html", "--har")).rejects.toThrow(UsageFault);
  });

  test("never replaces a file, and leaves none where it cannot write", async () => {
    const output = join(home.path, "mine");
    writeFileSync(output, "mine");
    await expect(run(exportSession, join(root, inline.folder), "--har", "-o", output)).rejects.toThrow(
      "is there already",
    );
    expect(readFileSync(output, "utf8")).toBe("mine");
    const nowhere = join(home.path, "no/such/folder");
    await expect(run(exportSession, join(root, inline.folder), "--har", "-o", nowhere)).rejects.toThrow(
      "cannot be written",
    );
    expect(existsSync(nowhere)).toBe(false);
  });

  test("says in the HAR what HAR has no member for, and keeps bodies that are no text as base64", async () => {
    const output = join(home.path, "bytes.har");
    await run(exportSession, root, "--session", bytes.session, "--har", "-o", output);
    const { log } = JSON.parse(readFileSync(output, "utf8"));
    const [entry] = log.entries;
    expect(Buffer.from(entry.response.content.text, entry.response.content.encoding)).toHaveLength(500);
    expect(entry).toMatchObject({
      _steno: { outcome: "allowed", ends: { request: "complete" } },
      response: { bodySize: 500 },
    });
  });

  test("makes no HAR and no bundles of frames that are not as they were sealed, but a page that names them", async () => {
    const key = `${inline.folder}${framesName(0)}`;
    const bad = write("bad", new Map(archive.objects).set(key, utf8("not these")));
    const args = [join(bad, inline.folder), "-o", join(home.path, "bad.out")];
    await expect(run(exportSession, ...args, "--har")).rejects.toThrow(
      `${key} is missing or not as it was sealed`,
    );
    await expect(run(exportSession, ...args, "--git-bundle")).rejects.toThrow(key);
    expect(
      (await collectEvidence(source(new Map(archive.objects).set(key, utf8("x"))), inline.session, 1e9)).has(
        key,
      ),
    ).toBe(true);
  });
});

test("an encrypted session is said to be one: its page carries it unopened, replay shows what is not read, other forms are refused", async () => {
  const encrypted = new Archive();
  const recording = await inlineSession(encrypted, {
    head: (head) => ({
      ...head,
      encryption: { scheme: "age", recipient: "age1example" },
      segments: head.segments.map((segment) => ({ ...segment, name: `${segment.name}.age` })),
    }),
  });
  const plain = `${recording.folder}${framesName(0)}`;
  const objects = new Map(encrypted.objects).set(`${plain}.age`, encrypted.objects.get(plain) ?? utf8(""));
  objects.delete(plain);
  const path = write("encrypted", objects);
  const { code, out } = await run(replay, path);
  expect([code, out[0]]).toEqual([0, `encrypted: ${plain}.age`]);
  expect(out.join("\n")).toContain("session_sealed");
  const output = ["-o", join(home.path, "encrypted.out")];
  await expect(run(exportSession, path, "--har", ...output)).rejects.toThrow("encrypted to the auditors");
  expect([...(await collectEvidence(source(objects), recording.session, 1e9)).keys()]).toContain(
    `${plain}.age`,
  );
});

describe("the evidence in a page", () => {
  const text = async (objects = archive.objects): Promise<string> =>
    [
      ...writePage("<p><!-- evidence --></p>", await collectEvidence(source(objects), inline.session, 1e9)),
    ].join("");

  test("is the session's own objects, its entries of the log and the keys, to the byte, and nothing of another's", async () => {
    const { session, source: inPage } = readPageEvidence(await text());
    expect(session).toBe(inline.session);
    const keys: string[] = [];
    for await (const key of inPage.list("")) {
      keys.push(key);
      expect(await inPage.get(key)).toEqual(archive.objects.get(key));
    }
    expect(keys).toEqual(
      expect.arrayContaining([
        "log/checkpoint",
        "log/entry/0.sigstore.json",
        "log/entry/1.sigstore.json",
        "trust/seal.pub",
      ]),
    );
    expect(keys.join()).not.toContain("log/entry/2");
    expect(keys.join()).not.toContain(bytes.session);
  });

  test("above the limit is refused with what to do instead, before it is read", async () => {
    await expect(collectEvidence(source(archive.objects), inline.session, 100)).rejects.toThrow(
      "run steno verify",
    );
  });

  test("keeps no object whose key could leave a folder or the markup", async () => {
    const evil = `${inline.folder}"></script><script>alert(1)</script>`;
    const page = await text(
      new Map(archive.objects).set(evil, utf8("x")).set(`${inline.folder}../x`, utf8("x")),
    );
    expect(page).not.toContain("alert");
    expect(page).not.toContain("../x");
  });

  test("is refused when an object is there twice, or is of two sessions, or is damaged", async () => {
    const page = await text();
    const [block = ""] =
      /<script type="text\/plain" data-key="trust\/seal.pub">.*<\/script>/.exec(page) ?? [];
    expect(() => readPageEvidence(page + block)).toThrow("two objects trust/seal.pub");
    expect(() => readPageEvidence(page.replace(block, block.replace("</script>", "A</script>")))).toThrow(
      "damaged object",
    );
    expect(() => readPageEvidence(page + block.replace("trust/seal.pub", `${bytes.folder}x`))).toThrow(
      "one session",
    );
    expect(() => readPageEvidence("<p>hello</p>")).toThrow("one session");
  });
});

describe("steno replay", () => {
  test("prints who, each exchange with its decision, and the verdict last", async () => {
    const { code, out } = await run(replay, join(root, inline.folder));
    expect(code).toBe(0);
    expect(out[0]).toMatch(/^2026-11-22T07:00:00\.000Z start +u-1 \(u-1; devs\) with git\/2\.39\.5$/);
    expect(out.slice(1, 3)).toEqual([
      expect.stringMatching(/ allowed +git\.refs app \(200, 0 B up, 5 B down\)/),
      expect.stringMatching(/ denied +git\.refs app \(403/),
    ]);
    expect(out.at(-1)).toMatch(/^VALID COMPLETE, by key /);
  });

  test("exits 1 and names what is wrong, after what can still be shown", async () => {
    const key = `${inline.folder}${framesName(0)}`;
    const bad = write("unread", new Map(archive.objects).set(key, utf8("not these")));
    const { code, out } = await run(replay, join(bad, inline.folder));
    expect(code).toBe(1);
    expect(out[0]).toBe(`unreadable: ${key}`);
    expect(out.join("\n")).toContain(`segment_altered ${key}`);
    expect(out.at(-1)).toMatch(/^INVALID /);
  });

  test("as JSON is one object a line, the verdict last", async () => {
    const { out } = await run(replay, join(root, bytes.folder), "--json");
    const lines = out.map((line) => JSON.parse(line));
    expect(lines[1]).toMatchObject({
      kind: "exchange",
      outcome: "allowed",
      bodies: { request: { bytes: 1200, end: "complete" } },
    });
    expect(lines.at(-1)).toMatchObject({ kind: "verdict", integrity: "VALID", findings: [] });
  });

  test("prints no control character and nothing that turns a line, whatever was recorded", async () => {
    const other = new Archive();
    const recording = other.session(6);
    await recording.begin();
    recording.write({ k: "gap", cause: "\u001b[2J\u202e", exchanges: [], missing: "\nVALID COMPLETE\r" });
    await recording.close();
    const { out } = await run(replay, write("steering", other.objects));
    expect(out.join("")).not.toMatch(/\p{Cc}|\u202e/u);
    expect(out.filter((line) => line.startsWith("VALID"))).toHaveLength(1);
  });
});

describe.each(["sha1", "sha256"] as const)("pushes of %s repositories as bundles", (format) => {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const git = (cwd: string, args: string[], input = ""): Buffer =>
    execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@example.com", ...args], {
      cwd,
      env,
      input,
      stdio: ["pipe", "pipe", "ignore"],
    });
  const pkt = (text: string): string => (Buffer.byteLength(text) + 4).toString(16).padStart(4, "0") + text;

  test("are verified, cloned and fetched by stock git, also where one builds on the other; a denied one is left out", async () => {
    const work = join(home.path, `work-${format}`);
    mkdirSync(work);
    git(work, ["init", "-q", "-b", "main", "--object-format", format]);
    const commit = (text: string): string => {
      writeFileSync(join(work, "file"), text.repeat(500));
      git(work, ["add", "."]);
      git(work, ["commit", "-q", "-m", text]);
      return git(work, ["rev-parse", "HEAD"]).toString().trim();
    };
    const pushOf = (ids: readonly string[], before?: string): Pushed & { commits: readonly string[] } => {
      const tip = ids.at(-1) ?? "";
      const old = before ?? "0".repeat(tip.length);
      const pack = git(
        work,
        ["pack-objects", "-q", "--revs", "--thin", "--stdout"],
        before ? `${tip}\n^${before}\n` : `${tip}\n`,
      );
      const head = `${pkt(`${old} ${tip} refs/heads/main\0 report-status object-format=${format}`)}0000`;
      const update = { ref: "refs/heads/main", old, new: tip, change: before ? "update" : "create" } as const;
      return { body: concat([utf8(head), pack]), commits: ids, updates: [update] };
    };
    const first = pushOf([commit("a"), commit("b")]);
    const second = pushOf([commit("c")], first.commits.at(-1));

    const recorded = new Archive();
    const recording = recorded.session(5);
    await recording.begin();
    for (const [pushed, verdict] of [
      [first, "allow"],
      [second, "allow"],
      [second, "deny"],
    ] as const) {
      const x = recording.exchange();
      requestPush(recording, x, pushed);
      const parent = pushed === second ? first.commits.at(-1) : undefined;
      const commits = pushed.commits.map(
        (id, i): Commit => ({
          id,
          tree: "",
          parents: [pushed.commits[i - 1] ?? parent].filter((each) => each !== undefined),
          author: "",
          committer: "",
          message: "",
          signed: false,
        }),
      );
      if (verdict === "allow") recording.write({ k: "git", x, updates: pushed.updates, commits });
      else claim(recording, x, [], pushed.updates);
      recording.decide(x, verdict);
      recording.raw(x, "c2s", 0, pushed.body);
      recording.end(x, "c2s", pushed.body.byteLength);
      recording.respond(x, verdict === "deny");
      recording.end(x, "s2c", 0);
    }
    await recording.close();
    const output = join(home.path, `bundles-${format}`);
    const { out } = await run(
      exportSession,
      write(`pushes-${format}`, recorded.objects),
      "--git-bundle",
      "-o",
      output,
    );
    expect(out).toEqual([
      expect.stringMatching(/^exc_\w+ left out: it was not let through$/),
      `2 bundles in ${output}`,
    ]);

    const [one = "", two = ""] = readdirSync(output)
      .sort()
      .map((name) => join(output, name));
    const clone = join(home.path, `clone-${format}`);
    git(home.path, ["clone", "-q", "-b", "main", one, clone]);
    expect(git(clone, ["rev-parse", "HEAD"]).toString().trim()).toBe(first.commits.at(-1));
    git(clone, ["bundle", "verify", two]);
    git(clone, ["fetch", "-q", two, "main:later"]);
    git(clone, ["fsck", "--strict"]);
    expect(git(clone, ["rev-parse", "later"]).toString().trim()).toBe(second.commits[0]);
    const empty = join(home.path, `empty-${format}`);
    git(home.path, ["init", "-q", "--object-format", format, empty]);
    expect(() => git(empty, ["bundle", "verify", two])).toThrow();
  });
});
