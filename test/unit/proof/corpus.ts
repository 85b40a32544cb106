/** A good archive of five sessions, each recorded in another way. One push is stock git's. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExchangeId } from "#durable/format/ids.ts";
import type { RefUpdate } from "#durable/format/operation.ts";
import { type Bytes, concat, utf8 } from "#durable/proof/bytes.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import { Archive, type Bend, fill, type Recording, START, source } from "./recording.ts";

export type Pushed = {
  readonly body: Bytes;
  readonly commits: readonly string[];
  readonly updates: readonly RefUpdate[];
};

const pkt = (text: string): Bytes => utf8((Buffer.byteLength(text) + 4).toString(16).padStart(4, "0") + text);

/** The body of a push, as git sends it: `count` commits on `main`, from an empty repository or on top of `old`. */
export function pushBody(
  count: number,
  format: "sha1" | "sha256" = "sha1",
  old = 0,
  packing = ["--delta-base-offset"],
): Pushed {
  const folder = mkdtempSync(join(tmpdir(), "steno-"));
  const env = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const git = (args: string[], input = "") =>
    execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@example.com", ...args], {
      cwd: folder,
      env,
      input,
    });
  try {
    git(["init", "-q", "-b", "main", "--object-format", format]);
    for (let i = 0; i < old + count; i++) {
      writeFileSync(join(folder, `file-${i % 4}`), `line ${i}\n`.repeat(200));
      git(["add", "."]);
      // Long messages that differ little: stock git stores such commits as deltas of each other.
      git([
        "commit",
        "-q",
        "-m",
        `change ${i}\n\n${"a paragraph that stays the same ".repeat(60)}`,
        "--date",
        `${1_700_000_000 + i} +0000`,
      ]);
    }
    const ids = git(["rev-list", "--reverse", "HEAD"]).toString().trim().split("\n");
    const [tip = "", before = "0".repeat(tip.length)] = [ids.at(-1), ids[old - 1]];
    const revs = old > 0 ? `${tip}\n^${before}\n` : `${tip}\n`;
    const pack = new Uint8Array(
      git(["pack-objects", "-q", "--revs", "--thin", "--stdout", ...packing], revs),
    );
    const command = pkt(`${before} ${tip} refs/heads/main\0 report-status-v2 ofs-delta agent=git/2.39.5`);
    const update: RefUpdate = {
      ref: "refs/heads/main",
      old: before,
      new: tip,
      change: old > 0 ? "update" : "create",
    };
    return { body: concat([command, utf8("0000"), pack]), commits: ids.slice(old), updates: [update] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function requestPush(
  recording: Recording,
  x: ExchangeId,
  { updates }: Pushed,
  omitted?: number,
): void {
  const operation = {
    kind: "git.push",
    repository: "app",
    updates,
    capabilities: [],
    options: [],
    atomic: false,
    ...(omitted === undefined ? {} : { omitted }),
  } as const;
  recording.write({
    k: "request",
    x,
    connection: "",
    operation,
    method: "POST",
    path: "/app/git-receive-pack",
    headers: [],
  });
}

export function claim(
  recording: Recording,
  x: ExchangeId,
  ids: readonly string[],
  updates: readonly RefUpdate[],
): void {
  const commits = ids.map((id) => ({
    id,
    tree: "",
    parents: [],
    author: "",
    committer: "",
    message: "",
    signed: false,
  }));
  recording.write({ k: "git", x, updates, commits });
}

/** A push in chunks of 1000 bytes, with another exchange between them. */
export function push(
  recording: Recording,
  pushed: Pushed,
  claimed: readonly string[] = pushed.commits,
): ExchangeId {
  const x = recording.exchange();
  requestPush(recording, x, pushed);
  claim(recording, x, claimed, pushed.updates);
  recording.decide(x, "allow");
  for (let at = 0; at < pushed.body.byteLength; at += 1000) {
    recording.raw(x, "c2s", at, pushed.body.subarray(at, at + 1000));
    if (at === 1000) recording.talk();
  }
  recording.end(x, "c2s", pushed.body.byteLength);
  recording.respond(x);
  recording.text(x, "s2c", 0, "unpack ok\n");
  recording.end(x, "s2c", 10);
  return x;
}

export async function inlineSession(archive: Archive, bend: Bend = {}, n = 1): Promise<Recording> {
  const recording = archive.session(n, bend);
  await recording.begin();
  recording.talk("refs\n");
  recording.talk("no, ünd ‖\n", "deny");
  await recording.close();
  return recording;
}

export async function bytesSession(archive: Archive, bend: Bend = {}): Promise<Recording> {
  const recording = archive.session(2, bend);
  await recording.begin();
  const [a, b] = [recording.exchange(), recording.exchange()];
  recording.request(a);
  recording.request(b);
  for (let i = 0; i < 4; i++) for (const x of [a, b]) recording.raw(x, "c2s", i * 300, fill(300, i));
  for (const x of [a, b]) recording.end(x, "c2s", 1200);
  for (const x of [b, a]) recording.respond(x);
  for (const x of [b, a]) recording.raw(x, "s2c", 0, fill(500, 9));
  for (const x of [b, a]) recording.end(x, "s2c", 500);
  await recording.close();
  return recording;
}

export async function longSession(archive: Archive, bend: Bend = {}): Promise<Recording> {
  const recording = archive.session(3, bend);
  await recording.begin();
  for (let i = 0; i < 3; i++) {
    recording.talk(`part ${i}\n`);
    const x = recording.exchange();
    recording.request(x);
    recording.end(x, "c2s", 0);
    recording.respond(x);
    recording.raw(x, "s2c", 0, fill(400, i));
    recording.cutBytes();
    recording.raw(x, "s2c", 400, fill(100, i));
    recording.end(x, "s2c", 500);
    recording.cutFrames();
    if (i < 2) await recording.head("progress");
  }
  await recording.close();
  return recording;
}

export async function truncatedSession(archive: Archive, bend: Bend = {}): Promise<Recording> {
  const recording = archive.session(4, bend);
  await recording.begin();
  const x = recording.exchange();
  recording.request(x);
  recording.raw(x, "c2s", 0, fill(200, 1));
  await recording.close("truncated");
  return recording;
}

export async function pushSession(archive: Archive, pushed: Pushed, bend: Bend = {}): Promise<Recording> {
  const recording = archive.session(5, bend);
  await recording.begin();
  push(recording, pushed);
  await recording.close(
    "closed",
    pushed.commits.map((oid) => ({ ref: `commit/${oid}`, oid })),
  );
  return recording;
}

export async function goodArchive(pushed: Pushed): Promise<Archive> {
  const archive = new Archive();
  await inlineSession(archive);
  await bytesSession(archive);
  await longSession(archive);
  await truncatedSession(archive);
  await pushSession(archive, pushed);
  return archive;
}

/** An hour after everything was recorded. */
export const now = START + 3_600_000;

/** What is found in an archive of one session. */
export async function found(
  record: (archive: Archive) => Promise<Recording>,
): Promise<{ verified: Verified; recording: Recording }> {
  const archive = new Archive();
  const recording = await record(archive);
  return { verified: await verifyArchive(source(archive.objects), { now }), recording };
}

export const codes = ({ findings }: Verified): string[] => findings.map(({ code }) => code);

/** A session that holds what `write` records between its start and its end. */
export const session = async (
  archive: Archive,
  write: (recording: Recording) => void,
): Promise<Recording> => {
  const recording = archive.session(9);
  await recording.begin();
  write(recording);
  await recording.close();
  return recording;
};
