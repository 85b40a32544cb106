import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Commit } from "#durable/format/frame.ts";
import type { RefUpdate } from "#durable/format/operation.ts";
import {
  ancestryFetch,
  ancestryQuery,
  ancestryRequest,
  settleUpdate,
} from "#workers/adapters/git/history/ancestry.ts";
import { decodeUploadPack } from "#workers/adapters/git/upload-pack.ts";

let directory: string;
const env = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
const git = (...args: string[]) =>
  execFileSync("git", ["-C", directory, "-c", "user.name=A", "-c", "user.email=a@example.test", ...args], {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();
const commit = (message: string) => {
  git("commit", "-q", "--allow-empty", "-m", message);
  return git("rev-parse", "HEAD");
};

/** What a stock server answers: the same program that stands behind every smart HTTP server. */
const served = (request: Uint8Array) =>
  new Uint8Array(
    execFileSync("git", ["upload-pack", "--stateless-rpc", directory], {
      env: { ...env, GIT_PROTOCOL: "version=2" },
      input: request,
      stdio: ["pipe", "pipe", "ignore"],
    }),
  );

const forced = (old: string, next: string): RefUpdate => ({
  ref: "refs/heads/rel",
  old,
  new: next,
  change: "force",
});
const settled = (update: RefUpdate, pushed: readonly Commit[] = []) => {
  const query = ancestryQuery([update], pushed, new Set());
  if (!query) throw new Error("nothing to ask");
  return settleUpdate(query, pushed, served(ancestryRequest(query, "sha1")), "sha1").change;
};
const asCommit = (id: string): Commit => {
  const parents = git("rev-list", "--parents", "-1", id).split(" ").slice(1);
  return {
    id,
    tree: git("rev-parse", `${id}^{tree}`),
    parents,
    author: "",
    committer: "",
    message: "",
    signed: false,
  };
};

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "steno-ancestry-"));
  git("init", "-q", "--initial-branch=main");
  git("config", "uploadpack.allowFilter", "true");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("a fast-forward over commits the server already has is an update", () => {
  const first = commit("first");
  for (let i = 0; i < 30; i++) commit(`step ${i}`);
  const last = commit("last");
  expect(settled(forced(first, last))).toBe("update");
  expect(settled(forced(git("rev-parse", `${last}~1`), last))).toBe("update");
});

test("a rewind, and a branch beside, stay force", () => {
  const last = git("rev-parse", "main");
  expect(settled(forced(last, git("rev-parse", "main~5")))).toBe("force");
  git("checkout", "-q", "-b", "beside", "main~7");
  expect(settled(forced(last, commit("beside")))).toBe("force");
});

test("history that only the pushed commits and the server's together connect is an update", () => {
  git("checkout", "-q", "main");
  const old = git("rev-parse", "main~3");
  git("checkout", "-q", "-b", "topic");
  git("merge", "-q", "--no-ff", "-m", "merge", "beside");
  const merge = git("rev-parse", "HEAD");
  const tip = commit("on top");
  expect(settled(forced(old, tip), [asCommit(merge), asCommit(tip)])).toBe("update");
});

test("an answer that is cut, garbled or missing proves nothing", () => {
  const update = forced(git("rev-parse", "main~4"), git("rev-parse", "main"));
  const query = ancestryQuery([update], [], new Set());
  if (!query) throw new Error("nothing to ask");
  const answer = served(ancestryRequest(query, "sha1"));
  expect(settleUpdate(query, [], answer, "sha1").change).toBe("update");
  for (const broken of [
    undefined,
    answer.subarray(0, answer.length >> 1),
    answer.map((byte) => byte ^ 1),
    new Uint8Array(9),
  ])
    expect(settleUpdate(query, [], broken && new Uint8Array(broken), "sha1").change).toBe("force");
});

test("what is asked is decoded like any client's fetch, so that policy sees the same question", () => {
  const query = { update: forced("1".repeat(40), "2".repeat(40)), wants: ["3".repeat(40)] };
  const decoded = decodeUploadPack("team/app", 2, ancestryRequest(query, "sha1"));
  expect(decoded).toEqual(ancestryFetch("team/app", query, "sha1"));
});

test("moving tags and refs that were looked at are not asked about", () => {
  const update = forced("1".repeat(40), "2".repeat(40));
  expect(ancestryQuery([{ ...update, ref: "refs/tags/v1" }], [], new Set())).toBeUndefined();
  expect(ancestryQuery([update], [], new Set(["refs/heads/rel"]))).toBeUndefined();
});
