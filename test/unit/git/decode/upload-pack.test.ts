import { expect, test } from "vitest";
import { stripAdvertisement } from "#workers/adapters/git/advertisement.ts";
import { decodeUploadPack } from "#workers/adapters/git/upload-pack.ts";
import { id, pkt } from "../wire.ts";

const decode = (version: 0 | 1 | 2, ...lines: (string | null | undefined)[]) =>
  decodeUploadPack("app", version, pkt(...lines));
const malformed = expect.objectContaining({ code: "malformed" });

test("ls-refs says which refs it is for", () => {
  const operation = decode(
    2,
    "command=ls-refs\n",
    "object-format=sha1",
    null,
    "peel\n",
    "symrefs\n",
    "unborn\n",
    "ref-prefix refs/heads/\n",
    undefined,
  );
  expect(operation).toEqual({
    kind: "git.refs",
    repository: "app",
    service: "git-upload-pack",
    version: 2,
    prefixes: ["refs/heads/"],
  });
});

test("a v2 fetch is read line by line", () => {
  const lines = [
    "thin-pack",
    `want ${id(1)}`,
    `want ${id(1)}`,
    "want-ref refs/heads/x",
    `have ${id(2)}`,
    `have ${id(3)}`,
    `shallow ${id(4)}`,
  ];
  const bounds = ["deepen-since 1700000000", "deepen-not refs/tags/v1", "filter blob:limit=1k", "done"];
  expect(decode(2, "command=fetch", "agent=git/2", null, ...lines, ...bounds, undefined)).toEqual({
    kind: "git.fetch",
    repository: "app",
    shallow: true,
    version: 2,
    wants: [id(1)],
    wantRefs: ["refs/heads/x"],
    haves: 2,
    depth: "since 1700000000, not refs/tags/v1",
    filter: "blob:limit=1k",
    done: true,
    capabilities: ["agent=git/2", "thin-pack"],
  });
});

test("a v0 fetch may have several rounds of haves", () => {
  const first = `want ${id(1)} side-band-64k filter agent=git/2\n`;
  const operation = decode(
    0,
    first,
    `want ${id(5)}\n`,
    `shallow ${id(2)}`,
    "deepen 1",
    "filter tree:0",
    undefined,
    `have ${id(3)}`,
    undefined,
    `have ${id(4)}`,
    "done\n",
  );
  expect(operation).toMatchObject({
    wants: [id(1), id(5)],
    haves: 2,
    depth: "1",
    filter: "tree:0",
    done: true,
  });
  expect(operation).toMatchObject({ capabilities: ["side-band-64k", "filter", "agent=git/2"] });
});

test.each<[string, 0 | 2, (string | null | undefined)[]]>([
  ["a command nobody offered", 2, ["command=object-info", null, "size", undefined]],
  ["bundle-uri", 2, ["command=bundle-uri", null, undefined]],
  ["packfile-uris", 2, ["command=fetch", null, "packfile-uris https", `want ${id(1)}`, "done", undefined]],
  ["a capability nobody offered", 2, ["command=fetch", "promisor-remote=x", null, undefined]],
  ["an argument nobody offered", 2, ["command=fetch", null, "steal everything", undefined]],
  [
    "a second command behind the first",
    2,
    ["command=ls-refs", null, undefined, "command=fetch", null, `want ${id(1)}`, undefined],
  ],
  ["no flush at the end", 2, ["command=ls-refs", null, "peel"]],
  ["no command", 2, ["agent=git/2", null, undefined]],
  ["a v0 request where v2 was named", 2, [`want ${id(1)}`, undefined, "done"]],
  ["a v2 request where v0 was named", 0, ["command=fetch", null, `want ${id(1)}`, undefined]],
  ["no wants", 0, [undefined, "done"]],
  ["something after done", 0, [`want ${id(1)}`, undefined, "done", undefined]],
  ["an id that is none", 0, ["want abc", undefined, "done"]],
  ["an id in capitals", 0, [`want ${"A".repeat(40)}`, undefined, "done"]],
  ["a capability git does not know", 0, [`want ${id(1)} packfile-uris`, undefined, "done"]],
  ["two filters", 0, [`want ${id(1)} filter`, "filter blob:none", "filter tree:0", undefined, "done"]],
])("a request with %s is malformed", (_, version, lines) => {
  expect(() => decode(version, ...lines)).toThrow(malformed);
});

test("a request that ends within a line is malformed", () => {
  expect(() => decodeUploadPack("app", 0, pkt(`want ${id(1)}`).subarray(0, 20))).toThrow(malformed);
});

const streamed = (bytes: Uint8Array, size: number): ReadableStream<Uint8Array> => {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.byteLength) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
};

const V2 = [
  "version 2\n",
  "agent=git/2\n",
  "ls-refs=unborn\n",
  "fetch=shallow packfile-uris filter unheard-of\n",
  "bundle-uri\n",
  "object-info\n",
  "promisor-remote=name=x,url=y\n",
  "object-format=sha1\n",
];
const STRIPPED = [
  "version 2\n",
  "agent=git/2\n",
  "ls-refs=unborn\n",
  "fetch=shallow filter\n",
  "object-format=sha1\n",
];

test.each([1, 7, 5000])(
  "a v2 advertisement in chunks of %i loses what leads past the gateway",
  async (size) => {
    for (const head of [[], ["# service=git-upload-pack\n", undefined]]) {
      const passed = await stripAdvertisement(streamed(pkt(...head, ...V2, undefined), size));
      expect(passed).toEqual({ kind: "v2", bytes: pkt(...head, ...STRIPPED, undefined) });
    }
  },
);

test.each([1, 7, 5000])(
  "a v0 advertisement in chunks of %i passes byte for byte, to any reader",
  async (size) => {
    const bytes = pkt(
      "# service=git-upload-pack\n",
      undefined,
      `${id(1)} HEAD\0multi_ack bundle-uri\n`,
      `${id(1)} refs/heads/main\n`,
      undefined,
    );
    const passed = await stripAdvertisement(streamed(bytes, size));
    if (passed.kind !== "v0") throw new Error("read as v2");
    const reader = passed.stream.getReader({ mode: "byob" });
    const chunks: Uint8Array[] = [];
    for (
      let read = await reader.read(new Uint8Array(64));
      !read.done;
      read = await reader.read(new Uint8Array(64))
    )
      chunks.push(read.value);
    expect(Buffer.concat(chunks)).toEqual(Buffer.from(bytes));
  },
);

test.each([
  ["empty", ""],
  ["cut off", "000eversion 2\n0010agent"],
  ["without its flush", "000eversion 2\n"],
  ["with something behind its flush", "000eversion 2\n0000x"],
  ["no git at all", "<html></html>"],
  ["too long", `000eversion 2\n${"0008abc\n".repeat(140_000)}0000`],
])("an advertisement that is %s is the server's fault", async (_, text) => {
  await expect(stripAdvertisement(streamed(Buffer.from(text), 4096))).rejects.toMatchObject({
    code: "upstream_protocol",
  });
});

test.each(["0000", "0004"])("a request of nothing but %s is refused before its lines are many", (line) => {
  const bytes = new Uint8Array(new TextEncoder().encode(line.repeat(500_000)));
  for (const version of [0, 2] as const)
    expect(() => decodeUploadPack("app", version, bytes)).toThrow(
      expect.objectContaining({ code: "too_large" }),
    );
});
