/** The probe over stores that keep what they are given, and over ones that do not, each in one way. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { probeDue, readLast } from "#durable/store/chores/daily.ts";
import { directoryArchive } from "#durable/store/directory-archive.ts";
import { directoryProbe } from "#durable/store/probe/directory-probe.ts";
import { s3Probe } from "#durable/store/probe/s3-probe.ts";
import { directoryEndpoint } from "#scripts/archive/directory-endpoint.ts";
import { archive as checkArchive } from "#scripts/check/archive.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { FakeS3, type Fault } from "./fake-s3.ts";
import { unixFetch } from "./unix-fetch.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function fake(honoursIfNoneMatch = true): Promise<FakeS3> {
  const store = await new FakeS3({ honoursIfNoneMatch }).start();
  stops.push(() => store.stop());
  store.makeBucket("locked", { locks: true });
  store.makeBucket("plain", { locks: false });
  return store;
}
const prober = (store: FakeS3, bucket = "locked", timeoutMs = 10_000) =>
  s3Probe({ ...placeOf(store), bucket, prefix: "archive/", now: Date.now, timeoutMs });
const placeOf = ({ endpoint, region, accessKeyId, secretAccessKey }: FakeS3) => ({
  endpoint,
  region,
  accessKeyId,
  secretAccessKey,
});
const failed = (results: readonly { name: string; outcome: string }[]): string[] =>
  results.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);

test("a store that holds everything is graded evidence", async () => {
  const { grade, reasons, results } = await prober(await fake()).probe("a");
  expect({ grade, reasons }).toEqual({ grade: "evidence", reasons: [] });
  expect(results).toHaveLength(6);
});

const bad: readonly (readonly [string, readonly Fault[], readonly string[]])[] = [
  ["keeps no retention", [{ keeps: "no retention" }], ["retention", "delete-version", "shorten"]],
  [
    "keeps a shorter retention",
    [{ keeps: "a shorter retention" }],
    ["retention", "delete-version", "shorten"],
  ],
  ["locks with GOVERNANCE", [{ keeps: "GOVERNANCE" }], ["retention", "delete-version", "shorten"]],
];
test.each(bad)("one that %s is limited, and says what failed", async (_, faults, names) => {
  const store = await fake();
  // The canary, a second put, eight at once, and the object whose lock is to be shortened.
  store.next("PUT", ...faults, ...Array<Fault>(9).fill({ slowMs: 0 }), ...faults);
  const { grade, results } = await prober(store).probe("a");
  expect(grade).toBe("limited");
  expect(failed(results)).toEqual(names);
});

test("one that ignores If-None-Match is limited for its puts, and for nothing else", async () => {
  const { results } = await prober(await fake(false)).probe("a");
  expect(failed(results)).toEqual(["second-put", "race"]);
});

test("one that takes a shorter retention without keeping it is limited", async () => {
  const store = await fake();
  store.next("RETAIN", { keeps: "nothing" });
  expect(failed((await prober(store).probe("a")).results)).toEqual(["shorten"]);
});

test("a bucket without Object Lock is limited, and nothing else is tried of it", async () => {
  const { grade, results } = await prober(await fake(), "plain").probe("a");
  expect(grade).toBe("limited");
  expect(results.map(({ outcome }) => outcome)).toEqual(["failed", ...Array(5).fill("untried")]);
});

test.each<readonly [string, Fault, "PUT" | "RETAIN"]>([
  ["fails", { status: 500 }, "PUT"],
  ["breaks off", { reset: "after" }, "PUT"],
  ["is silent", { silence: "lost" }, "PUT"],
  ["fails later", { silence: "lost" }, "RETAIN"],
])("a store that %s is not judged: there is no result", async (_, fault, method) => {
  const store = await fake();
  store.next(method, fault);
  await expect(prober(store, "locked", 500).probe("a")).rejects.toThrow(/^probe a: /);
});

test("nothing but what lies below probe/ is touched", async () => {
  const store = await fake();
  await prober(store).probe("a");
  for (const call of store.seen)
    expect(call).toMatch(/^\w+ \/locked\/archive\/probe\/a(-race|-shorten)?(\?|$)/);
});

describe("a directory", () => {
  test("keeps its puts, and is limited all the same: it is not WORM", async () => {
    const root = mkdtempSync(join(tmpdir(), "steno-"));
    const socket = join(root, "s");
    const endpoint = await directoryEndpoint({ root: join(root, "archive"), socket });
    stops.push(
      () => rmSync(root, { recursive: true }),
      () => endpoint.stop(),
    );
    const archive = directoryArchive({ fetch: unixFetch(socket), retentionDays: 0 });
    const { grade, reasons, results } = await directoryProbe(archive).probe("a");
    expect({ grade, reasons, failed: failed(results) }).toEqual({
      grade: "limited",
      reasons: ["a directory is not WORM: whoever owns it can delete and change what is in it"],
      failed: [],
    });
  });
});

describe("steno check", () => {
  const check = async (store: FakeS3) => {
    const { settings, findings } = parseSettings(
      `[archive]\nkind = "s3"\nendpoint = "${store.endpoint}"\nbucket = "locked"\naccess_key = "env:A"\nsecret_key = "env:S"\n`,
      "/",
    );
    if (!settings) throw new Error(JSON.stringify(findings));
    const found = await checkArchive(settings, { A: store.accessKeyId, S: store.secretAccessKey });
    return found.map(({ level, at, text }) => `${level} ${at.replace(/^archive \S+/, "archive")} ${text}`);
  };

  test("says each result, and that the store is of evidence grade", async () => {
    const said = await check(await fake());
    expect(said.at(-1)).toBe("ok archive grade evidence: the store keeps what it is given");
    expect(said.filter((line) => line.startsWith("ok"))).toHaveLength(9);
  });

  test("warns of what a store does not hold, and that it is not of evidence grade", async () => {
    const said = await check(await fake(false));
    expect(said.filter((line) => line.startsWith("warning"))).toEqual([
      "warning archive second-put failed: If-None-Match is ignored: a key takes another version, and the first one counts",
      "warning archive race failed: of 8 puts of one key at once, 8 are taken",
      "warning archive grade limited, not evidence: second-put, race",
    ]);
  });
});

test("a probe is due at first, in another run, and a day later", () => {
  const last = { at: 1_000, run: "a", n: 1 };
  expect(readLast(JSON.stringify(last))).toEqual(last);
  expect([probeDue(undefined, "a", 0), probeDue(last, "b", 1_000)]).toEqual([true, true]);
  expect([probeDue(last, "a", 86_400_999), probeDue(last, "a", 86_401_000)]).toEqual([false, true]);
});
