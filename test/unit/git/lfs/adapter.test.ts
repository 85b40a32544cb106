import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { LINE_MAX } from "#durable/format/frame.ts";
import { REFUSALS, Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import { adapterContract, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { gitAdapter } from "#workers/adapters/git/adapter.ts";
import { connection } from "../gateway.ts";

const TYPE = "application/vnd.git-lfs+json";
const OID = createHash("sha256").update("hello").digest("hex");
const bytes = (text: string) => new TextEncoder().encode(text);

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Example => ({
  name: `POST ${path}`,
  method: "POST",
  path: `/team/app.git/info/lfs/${path}`,
  query: "",
  headers: { "content-type": `${TYPE}; charset=utf-8`, accept: TYPE, ...headers },
  body: bytes(typeof body === "string" ? body : JSON.stringify(body)),
});
const object = (method: string, end = "", body?: Uint8Array<ArrayBuffer>): Example => ({
  name: `${method} of an object${end}`,
  method,
  path: `/team/app.git/info/lfs/objects/${OID}/5${end}`,
  query: "?ticket=abc",
  headers: { "content-type": body && end ? TYPE : "application/octet-stream" },
  body,
});
const batch = (over: Record<string, unknown> = {}): Example =>
  post("objects/batch", {
    operation: "upload",
    transfers: ["basic"],
    objects: [{ oid: OID, size: 5 }],
    ...over,
  });

const examples: readonly Example[] = [
  batch({ ref: { name: "refs/heads/main" } }),
  batch({ operation: "download", hash_algo: "sha256" }),
  object("GET"),
  object("PUT", "", bytes("hello")),
  object("POST", "/verify", bytes(JSON.stringify({ oid: OID, size: 5 }))),
  {
    ...object("GET"),
    name: "GET locks",
    path: "/team/app.git/info/lfs/locks",
    query: "?path=a%2Fb&limit=10",
  },
  post("locks", { path: "a/b.bin", ref: { name: "refs/heads/main" } }),
  post("locks/verify", {}),
  post("locks/17/unlock", { force: true }),
];

describe("Git LFS keeps the adapter's promises", () => adapterContract(gitAdapter, connection, examples));

const inspect = (example: Example) => sound(gitAdapter.inspect(incomingOf(example, connection)));
const refused = (example: Example) =>
  inspect(example).catch((thrown: unknown) => (thrown as Refusal).message);

test("a batch is asked about as a whole, with the largest object and all of them together", async () => {
  const objects = [
    { oid: OID, size: 5 },
    { oid: "b".repeat(64), size: 7 },
  ];
  const { operation, questions } = await inspect(batch({ objects, ref: { name: "refs/heads/main" } }));
  expect(operation).toEqual({
    kind: "git.lfs/upload",
    repository: "team/app",
    step: "batch",
    objects,
    ref: "refs/heads/main",
  });
  expect(questions).toMatchObject([
    {
      action: "git.lfs/upload",
      resource: { id: "code/team/app" },
      context: { objects: 2, largest: 7, size: 12 },
    },
  ]);
});

test("an object is asked about by its own size, and its ticket goes on to egress", async () => {
  const { outgoing, questions } = await inspect(object("PUT", "", bytes("hello")));
  expect(outgoing).toMatchObject({
    method: "PUT",
    path: `/team/app.git/info/lfs/objects/${OID}/5?ticket=abc`,
  });
  expect(questions).toMatchObject([{ action: "git.lfs/upload", context: { objects: 1, largest: 5 } }]);
});

test("a batch of a thousand objects fits its line, and says what it left out", async () => {
  const objects = Array.from({ length: 1_000 }, (_, n) => ({
    oid: n.toString(16).padStart(64, "0"),
    size: n,
  }));
  const { operation, abridged, questions } = await inspect(batch({ objects }));
  expect(operation).toMatchObject({ objects });
  expect(questions).toMatchObject([{ context: { objects: 1_000, largest: 999 } }]);
  expect(JSON.stringify(abridged).length).toBeLessThan(LINE_MAX - 8_192);
  expect(abridged).toHaveProperty("omitted");
});

test.each([
  ["another operation", batch({ operation: "delete" }), "A batch is for download or upload."],
  ["transfers without basic", batch({ transfers: ["tus"] }), /only basic passes/],
  ["another hash", batch({ hash_algo: "sha512" }), /SHA-256/],
  ["an oid that is none", batch({ objects: [{ oid: "../x", size: 1 }] }), /lower-case hex/],
  ["a size below nothing", batch({ objects: [{ oid: OID, size: -1 }] }), /size in bytes/],
  ["too many objects", batch({ objects: Array(1_001).fill({ oid: OID, size: 5 }) }), /at most 1000 objects/],
  ["a name twice", post("objects/batch", '{"operation":"download","operation":"upload"}'), /twice/],
  ["no JSON", post("objects/batch", "{"), /not JSON/],
  ["another type", batch(), /content type/, { "content-type": "text/plain" }],
  ["an encoding", batch(), /content encoding/, { "content-encoding": "gzip" }],
  ["other content", object("PUT", "", bytes("hellO")), /not what its oid and size say/],
  ["other length", object("PUT", "", bytes("hello ")), /not what its oid and size say/],
  ["a download with a body", { ...object("PUT", "", bytes("x")), method: "POST" }, /nothing else/],
  [
    "verifying another",
    object("POST", "/verify", bytes(`{"oid":"${OID}","size":6}`)),
    /not the one of its address/,
  ],
  ["no ticket", { ...object("GET"), query: "" }, /only good whole/],
  ["a second parameter", { ...object("GET"), query: "?ticket=abc&x=1" }, /only good whole/],
  ["a filter twice", { ...object("GET"), path: "/a/info/lfs/locks", query: "?path=a&path=b" }, /each once/],
  ["a filter unknown", { ...object("GET"), path: "/a/info/lfs/locks", query: "?token=b" }, /each once/],
  ["a repository that is none", { ...batch(), path: "/a/%2e%2e/info/lfs/objects/batch" }, /not allowed/],
] as [string, Example, string | RegExp, Record<string, string>?][])(
  "%s is refused",
  async (_, example, why, headers = {}) => {
    const told = await refused({ ...example, headers: { ...example.headers, ...headers } });
    expect(told).toMatch(why);
  },
);

test("a no is JSON, and a 5xx only where trying again can help", async () => {
  const [example] = examples as [Example];
  const statuses = Object.fromEntries(
    (Object.keys(REFUSALS) as RefusalCode[]).map((code) => {
      const refusal = new Refusal(code, "No.\nNot now.", { later: 7 });
      const response = gitAdapter.refuse(refusal, incomingOf(example, connection), { kind: "unknown" });
      expect(response.headers.get("content-type")).toBe(TYPE);
      expect(response.headers.get("retry-after")).toBe("7");
      return [code, response.status];
    }),
  );
  expect(statuses).toMatchObject({
    malformed: 422,
    unauthenticated: 401,
    denied: 403,
    unknown_path: 404,
    too_large: 413,
    rate_limited: 429,
    upstream_protocol: 422,
    upstream_unreachable: 502,
  });
});

describe("what the LFS server answers", () => {
  const answered = async (example: Example, response: Response) => {
    const inspected = await inspect(example);
    return gitAdapter.forward(inspected, async () => response);
  };
  const led = (over: object = {}) => ({
    objects: [
      {
        oid: OID,
        size: 5,
        actions: { upload: { href: "/git/code/x" }, download: { href: "/git/code/y" } },
        ...over,
      },
    ],
  });

  test("addresses become those of the gateway as the client knows it, of the direction that was asked", async () => {
    const said = await answered(batch(), Response.json(led()));
    expect(await said.json()).toEqual({
      transfer: "basic",
      objects: [{ oid: OID, size: 5, actions: { upload: { href: "http://gateway/git/code/x" } } }],
    });
    const secure = { ...batch(), headers: { ...batch().headers, "x-forwarded-proto": "https" } };
    expect(await (await answered(secure, Response.json(led()))).text()).toContain(
      "https://gateway/git/code/x",
    );
  });

  test("an object nobody asked for, a challenge and a redirect are refused", async () => {
    await expect(answered(batch(), Response.json(led({ size: 6 })))).rejects.toThrow(/not asked for/);
    await expect(answered(batch(), new Response("", { status: 401 }))).rejects.toThrow(/credential/);
    const moved = new Response("", { status: 302, headers: { location: "https://store.example" } });
    await expect(answered(object("GET"), moved)).rejects.toThrow(/redirect/);
  });

  test.each([404, 409, 413, 422, 429, 507])("%i is the server's own word and passes", async (status) => {
    const said = await answered(batch(), Response.json({ message: "no room" }, { status }));
    expect([said.status, await said.json()]).toEqual([status, { message: "no room" }]);
  });
});
