import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { entryKey, framesName, SEAL_NAME, SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import { folderSource, type Source } from "#scripts/cli/archive-source.ts";
import { copySession, fetchSession } from "#scripts/cli/fetch.ts";
import { Kept } from "./gateway.ts";

const SESSION = "ses_01KAZ00000000000000000000A" as SessionId;
const OTHER = "ses_01KAZ00000000000000000000B" as SessionId;
const OBJECTS: Readonly<Record<string, string>> = {
  [sessionFolder(SESSION) + framesName(0)]: "frames",
  [sessionFolder(SESSION) + SEAL_NAME]: "seal",
  [entryKey(0)]: "open",
  [entryKey(1)]: "closed",
  [SEAL_PUB]: "key",
};

let home: string;
let archive: string;
let target: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "steno-fetch-"));
  archive = join(home, "archive");
  target = join(home, "evidence");
  for (const [key, text] of Object.entries(OBJECTS)) put(archive, key, text);
  put(archive, sessionFolder(OTHER) + SEAL_NAME, "other");
});
afterEach(() => rmSync(home, { recursive: true }));

function put(root: string, key: string, text: string): void {
  mkdirSync(dirname(join(root, key)), { recursive: true });
  writeFileSync(join(root, key), text);
}

const files = (root: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => [
        join(parentPath, name).slice(root.length + 1),
        readFileSync(join(parentPath, name), "utf8"),
      ]),
  );

test("a session is copied with the whole log and the keys, laid out as in the archive, and nothing of another's", async () => {
  const copied = await copySession(folderSource(archive), SESSION, target);
  expect(copied).toEqual({ objects: 5, bytes: 23, findings: [] });
  expect(files(target)).toEqual(OBJECTS);
});

test("what an upload has not finished is not evidence", async () => {
  put(archive, `${sessionFolder(SESSION)}.upload-1`, "half");
  await copySession(folderSource(archive), SESSION, target);
  expect(files(target)).toEqual(OBJECTS);
});

test("copying again changes nothing; a file with other bytes stays and is a finding", async () => {
  await copySession(folderSource(archive), SESSION, target);
  expect((await copySession(folderSource(archive), SESSION, target)).findings).toEqual([]);
  put(target, entryKey(1), "mine");
  const { findings, objects } = await copySession(folderSource(archive), SESSION, target);
  expect(findings).toEqual([expect.objectContaining({ level: "error", at: entryKey(1) })]);
  expect(objects).toBe(4);
  expect(files(target)).toEqual({ ...OBJECTS, [entryKey(1)]: "mine" });
});

test("a session that is absent, or not sealed yet, is a finding", async () => {
  const absent = await copySession(
    folderSource(archive),
    "ses_01KAZ00000000000000000000C" as SessionId,
    target,
  );
  expect(absent).toMatchObject({ objects: 0, findings: [{ text: expect.stringContaining("not there") }] });
  rmSync(join(archive, sessionFolder(SESSION) + SEAL_NAME));
  const open = await copySession(folderSource(archive), SESSION, target);
  expect(open).toMatchObject({ objects: 4, findings: [{ text: expect.stringContaining("not sealed yet") }] });
});

test("an archive cannot write outside the directory, and what it lists and does not have is a finding", async () => {
  const hostile: Source = {
    get: async (key) => (key.endsWith("gone") ? undefined : new Uint8Array([120])),
    async *list(prefix) {
      yield `${prefix}x`;
      yield `${prefix}../../../../../escaped`;
      yield `${prefix}gone`;
      yield "/etc/x";
    },
  };
  const { findings } = await copySession(hostile, SESSION, target);
  expect(findings.map(({ text }) => text).filter((text) => text.includes("left out"))).toHaveLength(8);
  expect(findings.map(({ text }) => text).filter((text) => text.includes("not there"))).toHaveLength(4);
  expect(Object.keys(files(home)).filter((path) => path.includes("escaped"))).toEqual([]);
});

test("an archive that fails stops the copy: half of the evidence must not look like all of it", async () => {
  const failing: Source = {
    ...folderSource(archive),
    get: async () => {
      throw new Error("the store is down");
    },
  };
  await expect(copySession(failing, SESSION, target)).rejects.toThrow("the store is down");
  expect(Object.keys(files(home)).filter((path) => path.includes(".fetch-"))).toEqual([]);
});

test("the command reads the configuration, and says what it did and how to go on", async () => {
  const config = join(home, "steno.toml");
  writeFileSync(config, `[archive]\nkind = "directory"\npath = "./archive"\n`);
  const terminal = new Kept({});
  expect(await fetchSession([SESSION, "-o", target, "--config", config], terminal)).toBe(0);
  expect(terminal.printed).toEqual([
    `5 objects, 23 bytes in ${target}`,
    `steno verify ${join(target, sessionFolder(SESSION))}`,
  ]);
  put(target, SEAL_PUB, "mine");
  const again = new Kept({});
  expect(await fetchSession([SESSION, "-o", target, "--config", config, "--json"], again)).toBe(1);
  expect(JSON.parse(again.printed.join(""))).toMatchObject({
    session: SESSION,
    directory: target,
    objects: 4,
  });
});

test("without a session's id, or the archive's secrets, it does not run", async () => {
  await expect(fetchSession([], new Kept({}))).rejects.toMatchObject({ name: "UsageFault" });
  await expect(fetchSession(["../x"], new Kept({}))).rejects.toMatchObject({ name: "UsageFault" });
  const config = join(home, "steno.toml");
  const s3 = `kind = "s3"\nendpoint = "http://127.0.0.1:1"\nbucket = "steno"\nregion = "r"\n`;
  writeFileSync(
    config,
    `[archive]\n${s3}access_key = "env:NO_SUCH_A"\nsecret_key = "env:NO_SUCH_B"\nretention_days = 1\n`,
  );
  const terminal = new Kept({});
  expect(await fetchSession([SESSION, "-o", target, "--config", config], terminal)).toBe(2);
  expect(terminal.complaints).toEqual([
    expect.stringContaining("NO_SUCH_A"),
    expect.stringContaining("NO_SUCH_B"),
  ]);
});
