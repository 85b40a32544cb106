import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { frameLine, LINE_MAX } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import type { GitOperation } from "#durable/format/operation.ts";
import { adapterContract, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { FETCH_MAX, gitAdapter } from "#workers/adapters/git/adapter.ts";
import { PUSH_PREFIX } from "#workers/adapters/git/push/inspect.ts";
import { connection } from "./gateway.ts";
import { commitEntry, id, packed, pkt, pushBody, type UpdateLine } from "./wire.ts";

const get = (service: string): Example => ({
  name: `info/refs of ${service}`,
  method: "GET",
  path: "/team/app.git/info/refs",
  query: `?service=${service}`,
  headers: { "git-protocol": "version=2", "user-agent": "git/2.39.5" },
  body: undefined,
});
const post = (
  name: string,
  service: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Example => ({
  name,
  method: "POST",
  path: `/team/app.git/${service}`,
  query: "",
  headers: { "content-type": `application/x-${service}-request`, ...headers },
  body: new Uint8Array(body),
});

const v2 = { "git-protocol": "version=2" };
const lsRefs = pkt("command=ls-refs\n", "agent=git/2", null, "peel\n", "ref-prefix refs/heads/\n", undefined);
const fetchV2 = pkt(
  "command=fetch",
  "object-format=sha1",
  null,
  "thin-pack",
  `want ${id(1)}\n`,
  `have ${id(2)}\n`,
  "filter blob:none",
  undefined,
);
const fetchV0 = pkt(
  `want ${id(1)} multi_ack_detailed side-band-64k agent=git/2\n`,
  "deepen 3\n",
  undefined,
  `have ${id(2)}\n`,
  undefined,
  "done\n",
);
const one: UpdateLine = [id(0), id(2), "refs/heads/topic"];
const CAPABILITIES = "report-status side-band-64k push-options atomic";
const small = pushBody(
  [one, [id(3), id(0), "refs/heads/old"]],
  CAPABILITIES,
  ["ci.skip"],
  packed([commitEntry("one\n")]),
);
const long = Buffer.concat([small, randomBytes(PUSH_PREFIX)]);

adapterContract(gitAdapter, connection, [
  get("git-upload-pack"),
  get("git-receive-pack"),
  post("ls-refs", "git-upload-pack", lsRefs, v2),
  post("fetch over v2", "git-upload-pack", fetchV2, v2),
  post("fetch over v0", "git-upload-pack", fetchV0),
  post("fetch under gzip", "git-upload-pack", gzipSync(fetchV0), { "content-encoding": "gzip" }),
  post("a probe", "git-receive-pack", Buffer.from("0000")),
  post("a push", "git-receive-pack", small),
  post("a push under gzip", "git-receive-pack", gzipSync(small), { "content-encoding": "x-gzip" }),
  post(
    "a push that only deletes",
    "git-receive-pack",
    pushBody([[id(3), id(0), "refs/heads/old"]], "report-status"),
  ),
]);

const inspect = (example: Example, over: Partial<typeof connection> = {}) =>
  sound(gitAdapter.inspect(incomingOf(example, { ...connection, ...over })));

test("where only refs are inspected, a push longer than what is held is decided by its beginning, and streams", async () => {
  const header = packed([commitEntry("one\n")], 2).subarray(0, -20);
  const example = post(
    "",
    "git-receive-pack",
    Buffer.concat([pushBody([one], CAPABILITIES, []), header, Buffer.from([0xb5, 0x0a]), long]),
  );
  const { operation, frames, body } = await inspect(example, { inspect: "refs" });
  expect(operation).toMatchObject({
    kind: "git.push",
    updates: [{ ref: "refs/heads/topic", change: "create" }],
  });
  expect(frames[1]).toMatchObject({ pack: { scanned: "leading", commits: 1 } });
  expect(body.kind).toBe("stream");
});

test("a fetch longer than what is held is refused, as sent and inflated", async () => {
  const wants = `0032want ${id(1)}\n`.repeat(FETCH_MAX / 50 + 1);
  const big = Buffer.from(`${wants}00000009done\n`);
  const refused = expect.objectContaining({ code: "too_large" });
  await expect(inspect(post("", "git-upload-pack", big))).rejects.toEqual(refused);
  await expect(
    inspect(post("", "git-upload-pack", gzipSync(big), { "content-encoding": "gzip" })),
  ).rejects.toEqual(refused);
});

test.each([
  ["another content type", { "content-type": "text/plain" }],
  ["an encoding nobody could read", { "content-encoding": "br" }],
])("a request of %s is malformed", async (_, headers) => {
  await expect(inspect(post("", "git-upload-pack", fetchV0, headers))).rejects.toMatchObject({
    code: "malformed",
  });
});

test("what goes upstream is what git speaks, and its version is the one that was decoded", async () => {
  const headers = {
    "git-protocol": "version=1:version=2:key=value",
    "x-other": "1",
    "user-agent": "git/2.39.5",
    accept: "*/*",
    "accept-encoding": "gzip",
  };
  const { outgoing } = await inspect({ ...get("git-upload-pack"), headers });
  expect(outgoing).toEqual({
    method: "GET",
    path: "/team/app.git/info/refs?service=git-upload-pack",
    headers: [
      ["accept", "*/*"],
      ["user-agent", "git/2.39.5"],
      ["accept-encoding", "identity"],
      ["git-protocol", "version=2"],
    ],
  });
});

test("policy is asked one question for a read, and one for each ref of a push", async () => {
  const within = {
    type: "Repository",
    id: "code/team/app",
    attrs: { path: "team/app" },
    within: { type: "Connection", id: "code", attrs: { kind: "git" } },
  };
  const read = await inspect(post("", "git-upload-pack", fetchV2, v2));
  const context = {
    version: 2,
    haves: 1,
    wants: 1,
    wantRefs: [],
    capabilities: ["object-format=sha1", "thin-pack"],
    filter: "blob:none",
  };
  expect(read.questions).toEqual([{ part: "", action: "git.fetch", resource: within, context }]);
  const push = await inspect(post("", "git-receive-pack", small));
  expect(push.questions.map(({ part, action, resource }) => [part, action, resource])).toEqual([
    [
      "refs/heads/topic",
      "git.create",
      { type: "Ref", id: "code/team/app/refs/heads/topic", attrs: { name: "refs/heads/topic" }, within },
    ],
    [
      "refs/heads/old",
      "git.delete",
      { type: "Ref", id: "code/team/app/refs/heads/old", attrs: { name: "refs/heads/old" }, within },
    ],
  ]);
  expect(push.questions[0]?.context).toMatchObject({
    atomic: true,
    refs: 2,
    options: ["ci.skip"],
    change: "create",
  });
});

test("the longest operations and commits fit into frames, and what a frame leaves out is counted", async () => {
  const updates = Array.from(
    { length: 3000 },
    (_, i): UpdateLine => [id(0), id(2), `refs/heads/branch-${i}`],
  );
  const entries = Array.from({ length: 200 }, (_, i) => commitEntry(`${i}${'\u0001"\n'.repeat(4000)}`));
  const push = await inspect(
    post("", "git-receive-pack", pushBody(updates, "report-status", [], packed(entries))),
  );
  const wants = Array.from({ length: 5000 }, (_, i) => `want ${id(i + 1)}\n`);
  const fetch = await inspect(
    post("", "git-upload-pack", pkt("command=fetch", null, ...wants, undefined), v2),
  );
  const x = "exc_00000000000000000000000000" as ExchangeId;
  const lines = push.frames.map((frame) => frameLine(1e9, 0, "A".repeat(24), { ...frame, x }));
  for (const operation of [push.abridged, fetch.abridged].filter((kept) => kept !== undefined)) {
    const frame = {
      k: "request",
      x,
      connection: connection.name,
      operation,
      method: "POST",
      path: "/",
      headers: [],
    } as const;
    lines.push(frameLine(1e9, 0, "A".repeat(24), frame));
  }
  for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThan(LINE_MAX);
  expect(push.frames.flatMap((frame) => frame.updates ?? [])).toHaveLength(3000);
  expect(push.frames.flatMap((frame) => frame.commits ?? [])).toHaveLength(200);
  expect(push.abridged).toMatchObject({
    omitted: 3000 - (push.abridged?.kind === "git.push" ? push.abridged.updates.length : 0),
  });
  expect(fetch.abridged).toMatchObject({ kind: "git.fetch", omitted: expect.any(Number) });
});

const answering =
  (status: number, headers: Record<string, string>, body = "") =>
  async () =>
    new Response(body, { status, headers });
const refsOf = (service: string) => inspect(get(service));

test.each([401, 403, 404, 407, 302, 500])(
  "an upstream's %i never reaches the agent as one",
  async (status) => {
    const send = answering(status, { "www-authenticate": "Basic", location: "https://elsewhere.example/" });
    for (const service of ["git-upload-pack", "git-receive-pack"]) {
      const answer = gitAdapter.forward(await refsOf(service), send);
      await expect(answer).rejects.toMatchObject({
        code: "upstream_protocol",
        message: expect.not.stringContaining("elsewhere"),
      });
    }
  },
);

test("a page, or an advertisement that is compressed, is not passed for git", async () => {
  const type = "application/x-git-upload-pack-advertisement";
  for (const headers of [
    { "content-type": "text/html" },
    { "content-type": type, "content-encoding": "gzip" },
  ]) {
    const answer = gitAdapter.forward(
      await refsOf("git-upload-pack"),
      answering(200, headers, "000eversion 2\n0000"),
    );
    await expect(answer).rejects.toMatchObject({ code: "upstream_protocol" });
  }
});

test("a result streams as it is: what may not pass is stripped where every answer is released", async () => {
  const headers = {
    "content-type": "application/x-git-upload-pack-result",
    "content-encoding": "gzip",
    "set-cookie": "a=b",
    "alt-svc": "h3",
  };
  const response = await gitAdapter.forward(
    await inspect(post("", "git-upload-pack", fetchV0)),
    answering(200, headers, "0008NAK\n"),
  );
  expect([...response.headers.keys()].sort()).toEqual([
    "alt-svc",
    "content-encoding",
    "content-type",
    "set-cookie",
  ]);
  expect(await response.text()).toBe("0008NAK\n");
});

test("a probe is answered here", async () => {
  const probe = await inspect(post("", "git-receive-pack", Buffer.from("0000")));
  const never = (_: { operation: GitOperation }): Promise<Response> =>
    Promise.reject(new Error("sent upstream"));
  const response = await gitAdapter.forward(probe, never);
  expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([
    200,
    "application/x-git-receive-pack-result",
    "",
  ]);
});
