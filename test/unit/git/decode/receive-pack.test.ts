import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { Commit } from "#durable/format/frame.ts";
import { isRefName, refUpdates } from "#workers/adapters/git/history/ref-update.ts";
import { COMMANDS_MAX, decodePush } from "#workers/adapters/git/receive-pack.ts";
import { commitEntry, id, packed, pkt, pushBody, type UpdateLine } from "../wire.ts";

const home = mkdtempSync(`${tmpdir()}/steno-refs-`);
afterAll(() => rmSync(home, { recursive: true, force: true }));

const one: UpdateLine = [id(0), id(2), "refs/heads/topic"];
const deletion: UpdateLine = [id(2), id(0), "refs/heads/topic"];
const pack = packed([commitEntry("one\n")]);
const malformed = expect.objectContaining({ code: "malformed" });

test("commands, capabilities, options and the place of the pack are read", () => {
  const bytes = pushBody(
    [one, [id(3), id(4), "refs/tags/v1"]],
    "report-status push-options object-format=sha1",
    ["a=b", "c"],
    pack,
  );
  const push = decodePush(bytes, true);
  expect(push.commands).toEqual([
    { ref: "refs/heads/topic", old: id(0), new: id(2) },
    { ref: "refs/tags/v1", old: id(3), new: id(4) },
  ]);
  expect(push).toMatchObject({
    options: ["a=b", "c"],
    format: "sha1",
    packAt: bytes.byteLength - pack.byteLength,
  });
});

test("shallow lines come before the commands", () => {
  const bytes = new Uint8Array(Buffer.concat([pkt(`shallow ${id(9)}\n`), pushBody([one], "", [], pack)]));
  expect(decodePush(bytes, true).commands).toHaveLength(1);
});

test.each<[string, Uint8Array]>([
  ["no commands", pkt(undefined)],
  ["commands that end within a line", pkt(`${id(0)} ${id(2)} refs/heads/x`).subarray(0, 30)],
  ["no flush", pushBody([one], "").subarray(0, -4)],
  ["no pack", pushBody([one], "report-status")],
  ["something else than a pack", pushBody([one], "", [], Buffer.from("JUNK"))],
  ["a pack behind a deletion", pushBody([deletion], "", [], pack)],
  ["one ref twice", pushBody([one, one], "", [], pack)],
  ["a command that changes nothing", pushBody([[id(0), id(0), "refs/heads/x"]], "")],
  ["ids of another format", pushBody([one], "object-format=sha256", [], pack)],
  ["an unknown format", pushBody([one], "object-format=md5", [], pack)],
  ["two formats", pushBody([one], "object-format=sha1 object-format=sha256", [], pack)],
  ["a bad ref", pushBody([[id(0), id(2), "refs/heads/../x"]], "", [], pack)],
  ["a ref outside refs/", pushBody([[id(0), id(2), "HEAD"]], "", [], pack)],
  ["an id in capitals", pushBody([[id(0), "A".repeat(40), "refs/heads/x"]], "", [], pack)],
  ["a delim among the commands", pkt(null, undefined)],
  [
    "capabilities on the second command",
    pkt(`${id(0)} ${id(2)} refs/heads/x\0 atomic`, `${id(0)} ${id(2)} refs/heads/y\0 quiet`, undefined),
  ],
  [
    "a certificate",
    pkt("push-cert\0report-status\n", "certificate version 0.1\n", "push-cert-end\n", undefined),
  ],
])("a push with %s is malformed", (_, bytes) => {
  expect(() => decodePush(new Uint8Array(bytes), true)).toThrow(malformed);
});

test("signed pushes are refused with what to do instead", () => {
  expect(() => decodePush(pkt("push-cert\0report-status\n", undefined), true)).toThrow(
    /push without --signed/,
  );
});

test("too many commands, and commands beyond what is held, are too large", () => {
  const many = Array.from(
    { length: COMMANDS_MAX + 1 },
    (_, i): UpdateLine => [id(0), id(2), `refs/heads/${i}`],
  );
  const tooLarge = expect.objectContaining({ code: "too_large" });
  expect(() => decodePush(pushBody(many, "", [], pack), true)).toThrow(tooLarge);
  expect(() => decodePush(pushBody(many.slice(0, 10), "").subarray(0, -4), false)).toThrow(tooLarge);
});

test("ref names are accepted exactly when git accepts them", () => {
  const unit = fc.constantFrom(..."ab.@{/-~^: ?*[\\\u007f\té", ".lock", "@{", "..");
  const names = fc
    .sample(fc.string({ unit, maxLength: 8 }), { numRuns: 150, seed: 7 })
    .filter((name) => !name.startsWith("-"));
  names.push(
    "heads/a",
    "heads/a.lock",
    "heads/a.lock/b",
    "heads/.a",
    "heads/a.",
    "heads/@",
    "@",
    "heads",
    "heads/a@{b",
    "héads/ü",
  );
  for (const name of names) {
    const ref = `refs/${name}`;
    const accepted = ((): boolean => {
      try {
        // What receive-pack checks is the name below refs/.
        execFileSync("git", ["check-ref-format", name], { cwd: home, stdio: "ignore" });
        return true;
      } catch {
        return false;
      }
    })();
    expect([ref, isRefName(ref, false)]).toEqual([ref, accepted]);
  }
});

test("a ref of one level may be deleted but not made", () => {
  expect([isRefName("refs/stash", true), isRefName("refs/stash", false)]).toEqual([true, false]);
});

const commit = (n: number, ...parents: number[]): Commit => ({
  id: id(n),
  tree: id(0),
  parents: parents.map(id),
  author: "",
  committer: "",
  message: "",
  signed: false,
});
const changes = (updates: readonly UpdateLine[], commits: readonly Commit[]): string[] =>
  refUpdates(
    updates.map(([old, next, ref]) => ({ old, new: next, ref })),
    commits,
  ).map(({ change }) => change);

test("an update is only what the pushed commits prove to keep history; all else is force", () => {
  const commits = [commit(5, 4, 9), commit(4, 3), commit(9, 8), commit(7, 6)];
  const to = (old: number, next: number, ref = "refs/heads/x"): UpdateLine => [id(old), id(next), ref];
  expect(changes([to(0, 5), to(5, 0)], commits)).toEqual(["create", "delete"]);
  expect(changes([to(3, 5), to(8, 5), to(4, 4)], commits)).toEqual(["update", "update", "update"]);
  expect(changes([to(2, 5), to(5, 3), to(3, 7), to(3, 99)], commits)).toEqual([
    "force",
    "force",
    "force",
    "force",
  ]);
  expect(changes([to(3, 5, "refs/tags/v1")], commits)).toEqual(["force"]);
});

test("a history that goes in circles ends the walk", () => {
  expect(changes([[id(1), id(2), "refs/heads/x"]], [commit(2, 3), commit(3, 2)])).toEqual(["force"]);
});

test("a push is refused when its refs times its options are more than policy can be asked", () => {
  const refs = Array.from({ length: 300 }, (_, i): UpdateLine => [id(2), id(0), `refs/heads/b${i}`]);
  const options = ["x".repeat(30_000), "y".repeat(30_000)];
  const bytes = pushBody(refs, "push-options", options);
  expect(() => decodePush(bytes, true)).toThrow(expect.objectContaining({ code: "too_large" }));
  expect(decodePush(pushBody(refs.slice(0, 100), "push-options", options), true).options).toEqual(options);
});
