// Egress as it is served, asked by somebody who is not the gateway: without a clearance for just this, nothing leaves.
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type ConnectionName, mintExchangeId, mintSessionId } from "#durable/format/ids.ts";
import type { ClearanceClaims } from "#durable/format/tape.ts";
import { build, ROOT } from "#scripts/build.ts";
import { accepts, type Child, startChild, until, workspace } from "#test/support/servers/children.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { header, startTap, type Tap } from "#test/support/tap.ts";
import { mintClearance } from "#workers/vault/clearance.ts";
import { endMark } from "#workers/wire/end-mark.ts";

const space = workspace("clearance");
const workerd = join(createRequire(import.meta.url).resolve("workerd/package.json"), "../bin/workerd");
const PATH = "/app.git/git-receive-pack?trace=1";
const SECRET = "upstream-user:upstream-password";
const keyBytes = randomBytes(32);
let upstream: Tap;
let port = 0;
let child: Child | undefined;

/** Passes a request on to egress; keeps what egress has recorded, and refuses to record when it is told to. */
const CALLER = `import { WorkerEntrypoint } from "cloudflare:workers";
let spooled = [];
let full = false;
export class Spool extends WorkerEntrypoint {
  append(clearance, off, bytes) {
    if (full) return { no: { code: "not_recorded", message: "the recorder cannot write" } };
    spooled.push([off, bytes.byteLength]);
    return { ok: null };
  }
  finish(clearance, off, end) {
    spooled.push([off, end]);
    return { ok: null };
  }
}
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/spooled") return Response.json(spooled);
    if (pathname === "/full") { full = !full; spooled = []; return new Response("ok"); }
    return env.EGRESS.fetch(request);
  },
};`;

const config = (settings: object) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "caller", worker = (
      modules = [(name = "caller.js", esModule = embed "caller.js")], compatibilityDate = "2026-11-01",
      bindings = [(name = "EGRESS", service = (name = "egress", entrypoint = "Egress"))])),
    (name = "egress", worker = (
      modules = [(name = "main.js", esModule = embed "dist/main.js")],
      compatibilityDate = "2026-11-01", compatibilityFlags = ["nodejs_compat"], globalOutbound = "nowhere",
      bindings = [
        (name = "EGRESS_SETTINGS", json = ${JSON.stringify(JSON.stringify(settings))}),
        (name = "SPOOL", service = (name = "caller", entrypoint = "Spool")),
        (name = "UPSTREAM_0", service = "upstream-0"),
        (name = "CREDENTIAL_0", text = "${SECRET}"),
        (name = "CLEARANCE_KEY", cryptoKey = (raw = embed "clearance.key",
          algorithm = (json = "{\\"name\\":\\"HMAC\\",\\"hash\\":\\"SHA-256\\"}"), extractable = false, usages = [verify])),
      ])),
    (name = "upstream-0", external = (address = "${new URL(upstream.url).host}", http = ())),
    (name = "nowhere", network = (allow = [])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "caller")]
);
`;

beforeAll(async () => {
  upstream = await startTap(undefined, (request, response) => {
    request.resume().once("end", () => response.writeHead(200, { "steno-refusal": "denied" }).end("reached"));
    return true;
  });
  port = await freePort();
  await build(join(ROOT, "workers/egress.ts"), join(space.path, "dist"));
  const connection = {
    name: "code",
    kind: "git",
    transport: "http",
    base: `${upstream.url}/base`,
    upstream: "UPSTREAM_0",
    credential: { binding: "CREDENTIAL_0", scheme: "basic" },
  };
  writeFileSync(join(space.path, "caller.js"), CALLER);
  writeFileSync(join(space.path, "clearance.key"), keyBytes);
  const settings = { connections: [connection], issuers: [], stallSeconds: 2 };
  writeFileSync(join(space.path, "config.capnp"), config(settings));
  const log = join(space.path, "log");
  child = startChild(workerd, ["serve", "config.capnp"], { cwd: space.path, log });
  await until(() => accepts(port), "workerd listens", [child]);
});
afterAll(async () => {
  await child?.stop();
  await upstream?.stop();
  space.remove();
});
beforeEach(() => {
  upstream.passed.length = 0;
});

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
const BODY = "0000 the push that was decided upon";

async function mint(
  over: Partial<ClearanceClaims> = {},
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(keyBytes),
) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
  const x = mintExchangeId(Date.now(), randomBytes(10));
  return mintClearance(key, {
    session: mintSessionId(Date.now(), randomBytes(10)),
    x,
    connection: "code" as ConnectionName,
    method: "POST",
    path: PATH,
    verdict: "allow",
    body: { kind: "whole", sha256: sha256(BODY) },
    expires: Date.now() + 60_000,
    nonce: x,
    ...over,
  });
}

type Sent = { readonly path?: string; readonly method?: string; readonly body?: BodyInit | null };
async function send(clearance: string | undefined, { path = PATH, method = "POST", body = BODY }: Sent = {}) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: {
      ...(clearance === undefined ? {} : { "steno-clearance": clearance }),
      "steno-session": "told by the caller",
      authorization: "Bearer of-the-agent",
    },
    ...(method === "GET" ? {} : { body, duplex: "half" }),
  } as RequestInit);
  return {
    status: response.status,
    refusal: response.headers.get("steno-refusal"),
    text: await response.text(),
  };
}

test("what a clearance covers leaves once, with the gateway's credential and nobody else's", async () => {
  const clearance = await mint();
  expect(await send(clearance)).toEqual({ status: 200, refusal: null, text: "reached" });
  const [passed] = upstream.passed;
  expect(passed).toMatchObject({ method: "POST", url: `/base${PATH}` });
  expect(passed?.body().toString()).toBe(BODY);
  const headers = passed?.headers ?? [];
  expect(header(headers, "authorization")).toBe(`Basic ${btoa(SECRET)}`);
  expect(headers.join()).not.toMatch(/steno-clearance|of-the-agent/);
  expect(await send(clearance)).toMatchObject({ status: 403, refusal: "denied" });
  expect(upstream.passed).toHaveLength(1);
});

test("of twenty requests with one clearance at the same moment one leaves", async () => {
  const clearance = await mint();
  const all = await Promise.all(Array.from({ length: 20 }, () => send(clearance)));
  expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(upstream.passed).toHaveLength(1);
});

const CHANGED: Readonly<Record<string, () => Promise<[string | undefined, Sent?]>>> = {
  "no clearance": async () => [undefined],
  "an empty one": async () => [""],
  "one of another key": async () => [await mint({}, new Uint8Array(32).fill(7))],
  "one whose claims were changed": async () => {
    const [, mac] = (await mint()).split(".");
    const [claims] = (await mint({ path: "/other.git/git-receive-pack" })).split(".");
    return [`${claims}.${mac}`, { path: "/other.git/git-receive-pack" }];
  },
  "one whose code lacks its last letter": async () => [(await mint()).slice(0, -1)],
  "one that has expired": async () => [await mint({ expires: Date.now() - 1 })],
  "one for another method": async () => [await mint({ method: "GET" })],
  "one for another repository": async () => [await mint({ path: PATH.replace("app", "secret") })],
  "one for another query": async () => [await mint({ path: PATH.replace("1", "2") })],
  "one for another body": async () => [await mint({ body: { kind: "whole", sha256: sha256("other") } })],
  "one for the beginning of another stream": async () => [
    await mint({ body: { kind: "stream", prefix: 4, sha256: sha256("1111") } }),
  ],
  "one for a longer beginning than there is": async () => [
    await mint({ body: { kind: "stream", prefix: 4_000, sha256: sha256(BODY) } }),
  ],
  "one for a connection that is not there": async () => [
    await mint({ connection: "other" as ConnectionName }),
  ],
};

test.each(Object.entries(CHANGED))("with %s nothing leaves", async (_name, make) => {
  const [clearance, sent] = await make();
  const { status, refusal } = await send(clearance, sent);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(refusal).toMatch(/^(denied|unknown_connection|malformed)$/);
  expect(upstream.passed).toEqual([]);
});

test("with one for no body nothing of a body leaves", async () => {
  expect((await send(await mint({ body: { kind: "none" } }))).status).toBe(200);
  expect(upstream.passed.map((passed) => passed.body().length)).toEqual([0]);
});

const streamClaims = { body: { kind: "stream", prefix: 4, sha256: sha256("0000") } } as const;
const streamed = (parts: readonly Uint8Array[]): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });

test("a stream leaves as far as it is recorded; without the mark of its end the upstream sees it break off", async () => {
  const rest = randomBytes(500_000);
  const clearance = await mint(streamClaims);
  const whole = [Buffer.from("0000"), rest, Buffer.from(endMark(clearance))];
  expect(await send(clearance, { body: streamed(whole) })).toMatchObject({ status: 200, text: "reached" });
  expect(upstream.passed[0]?.body().equals(Buffer.concat([Buffer.from("0000"), rest]))).toBe(true);
  const spooled = (await (await fetch(`http://127.0.0.1:${port}/spooled`)).json()) as [
    number,
    number | string,
  ][];
  expect(spooled.at(-1)).toEqual([500_004, "complete"]);
  expect(spooled.slice(0, -1).reduce((sum, [, length]) => sum + Number(length), 0)).toBe(500_000);
  const cut = await mint(streamClaims);
  const { refusal } = await send(cut, { body: streamed([Buffer.from("0000"), rest]) });
  expect(refusal).not.toBeNull();
  expect(upstream.passed[1]?.ended() ?? false).toBe(false);
});

test("what cannot be recorded of a stream does not leave", async () => {
  await fetch(`http://127.0.0.1:${port}/full`);
  const clearance = await mint(streamClaims);
  const parts = [Buffer.from("0000"), randomBytes(100_000), Buffer.from(endMark(clearance))];
  const { refusal } = await send(clearance, { body: streamed(parts) });
  await fetch(`http://127.0.0.1:${port}/full`);
  expect(refusal).toBe("not_recorded");
  for (const passed of upstream.passed)
    expect([passed.body().length <= 4, passed.ended()]).toEqual([true, false]);
});
