// A full disk under the node's state: no record, no traffic; and all of it again once there is room.
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ExchangeId } from "#durable/format/ids.ts";
import { answers, type FaultSite, notInRecord, type Seen, startFaultSite } from "#test/support/faults.ts";
import { type GitClient, gitClient } from "#test/support/git-client.ts";
import { type Recording, readRecording } from "#test/support/recording.ts";
import { run } from "#test/support/servers/children.ts";

let directory: string;
let site: FaultSite;
let client: GitClient;
/** The small file system, as the node sees it: it is mounted in the node's own mount namespace, and ends with it. */
let state: string;

beforeAll(async () => {
  const mounting = 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"';
  try {
    await run("unshare", ["-m", "/bin/sh", "-c", mounting, tmpdir(), "true"]);
  } catch (cause) {
    throw new Error("this test mounts a small file system: run it as root, or with CAP_SYS_ADMIN", { cause });
  }
  directory = mkdtempSync(join(tmpdir(), "steno-disk-"));
  mkdirSync(join(directory, "state"));
  site = await startFaultSite({
    directory,
    session: { idle_seconds: 2, head_seconds: 1 },
    within: ["unshare", "-m", "/bin/sh", "-c", mounting, join(directory, "state")],
  });
  const [pid] = site.node.workerds();
  state = `/proc/${pid}/root${join(directory, "state")}`;
  client = gitClient({ token: await site.token() });
});
afterAll(async () => {
  client?.remove();
  await site?.stop();
  if (directory) rmSync(directory, { recursive: true });
});

const filler = () => join(state, "filler");
function fill(): void {
  for (const size of [65_536, 4_096, 512]) {
    try {
      for (;;) appendFileSync(filler(), Buffer.alloc(size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }
}
const refusedBy = ({ bytes, session }: Seen): boolean =>
  session === undefined && bytes.includes("ERR the recorder cannot write, so nothing passes");

let recording: Recording;
/** Asked in the session that was open when the disk filled up. */
const refused: Seen[] = [];

test("with a full disk exchanges are refused in git's words, and nothing reaches the upstream", async () => {
  for (let i = 0; i < 3; i++) expect((await site.ask({ conversation: "open" })).status).toBe(200);
  const begun = site.back.passed.length;
  fill();
  // What was free inside the files of the database may take an exchange more.
  const ask = async () => {
    const one = await site.ask({ conversation: "open" });
    if (refusedBy(one)) refused.push(one);
    return one;
  };
  for (let i = 0; i < 20 && refused.length === 0; i++) await ask();
  const reached = site.back.passed.length;
  expect(reached - begun).toBeLessThan(20);
  fill();
  for (let i = 0; i < 20; i++) {
    const both = [await ask(), await site.ask({ conversation: `new ${i}` })];
    expect(both.map(refusedBy)).toEqual([true, true]);
  }
  const { code, stderr } = await client.attempt("ls-remote", site.url("app.git"));
  expect({ code, stderr }).toEqual({
    code: 128,
    stderr: expect.stringContaining("the recorder cannot write, so nothing passes"),
  });
  expect(site.back.passed.length).toBe(reached);
});

test("alarms that meet the full disk are not the last ones: sessions go on, and are sealed, when there is room", async () => {
  await sleep(3_000);
  rmSync(filler());
  await answers(site, { conversation: "open" });
  expect((await answers(site, { conversation: "new 0" })).status).toBe(200);
  for (let i = 0; i < 3; i++) await site.ask({ conversation: "open" });
  await site.sealedAll();
  recording = await readRecording(site.node.archive);
  expect(notInRecord(site.front.passed, site.back.passed, recording)).toEqual([]);
});

test("a gap frame names the exchanges that could not be recorded, and the archive is VALID", async () => {
  const { out } = await site.node.cli("verify", site.node.archive, "--json");
  const verified = JSON.parse(out) as {
    integrity: string;
    completeness: string;
    findings: { code: string }[];
  };
  expect(verified).toMatchObject({ integrity: "VALID", completeness: "DEGRADED" });
  expect(new Set(verified.findings.map(({ code }) => code))).toEqual(new Set(["session_gap"]));
  const named = new Set(
    [...recording.sessions.values()].flat().flatMap((frame) => (frame.k === "gap" ? frame.exchanges : [])),
  );
  expect(refused.length).toBeGreaterThan(20);
  expect(refused.filter(({ exchange }) => !named.has(exchange as ExchangeId))).toEqual([]);
});
