import { Hono } from "hono";
import { beforeEach, describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { sessionRoutes } from "#workers/api/sessions.ts";
import { problem } from "#workers/wire/problem.ts";
import { ALICE, MINE, OTHERS, Recorder } from "./recorder.ts";

const CONNECTIONS = [
  { name: "code", kind: "git", upstream: "https://git.example" },
  { name: "tracker", kind: "mcp" },
];

let recorder: Recorder;
let logged: Readonly<Record<string, unknown>>[];
let app: Hono;
beforeEach(() => {
  recorder = new Recorder();
  logged = [];
  app = new Hono();
  const routes = sessionRoutes({
    append: recorder.append,
    hold: recorder.hold,
    connections: CONNECTIONS,
    issuers: ["https://idp.example"],
    patienceMs: 50,
    log: (line) => logged.push(line),
    authenticate: async (request) => {
      if (request.headers.get("authorization") !== "Bearer alice") {
        throw new Refusal("unauthenticated", "the token was not accepted");
      }
      return ALICE;
    },
  });
  // As the gateway mounts them.
  app.route("/", routes);
  app.notFound(() => problem(new Refusal("unknown_path", "nothing is served at this path")));
});

const ask = (method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}) =>
  app.request(path, {
    method,
    headers: { authorization: "Bearer alice", ...headers },
    ...(body ? { body } : {}),
  });

test("a session is opened for the token's principal, with what the client says of itself", async () => {
  const response = await ask("POST", "/v1/sessions", '{"client":"steno run","conversation":"c-1"}');
  expect(response.status).toBe(201);
  expect(response.headers.get("location")).toBe(`/v1/sessions/${MINE}`);
  expect(response.headers.get("steno-session")).toBe(MINE);
  expect(await response.json()).toMatchObject({ session: MINE, principal: ALICE });
  expect(recorder.calls).toEqual([["open", { principal: ALICE, client: "steno run", conversation: "c-1" }]]);
});

test("a session is opened without a body, named by the program that asks", async () => {
  await ask("POST", "/v1/sessions", undefined, { "user-agent": "cursor/3.20 (linux; x64)" });
  await ask("POST", "/v1/sessions", "{}", { "user-agent": "" });
  expect(recorder.calls).toEqual([
    ["open", { principal: ALICE, client: "cursor/3.20" }],
    ["open", { principal: ALICE, client: "unknown" }],
  ]);
});

describe("a session is not opened", () => {
  test.each([
    ["by a body that is not JSON", "client=x", 400, "the body is not JSON"],
    ["by an array", "[]", 400, "the body"],
    ["by null", "null", 400, "the body"],
    [
      "by a client of 201 letters",
      JSON.stringify({ client: "x".repeat(201) }),
      400,
      "client: must have at most 200",
    ],
    ["by an empty client", '{"client":""}', 400, "client: must not be empty"],
    ["by a client with a line end", '{"client":"a\\nb"}', 400, "client: must be printable"],
    ["by a client that turns text around", '{"client":"a\\u202eb"}', 400, "client: must be printable"],
    ["by a conversation that is a number", '{"conversation":7}', 400, "conversation"],
    ["by a key that is not known", '{"principal":"root"}', 400, "principal"],
    ["by a body of many bytes", JSON.stringify({ client: "x".repeat(5000) }), 413, "more than 4096 bytes"],
  ])("%s", async (_how, body, status, detail) => {
    const response = await ask("POST", "/v1/sessions", body);
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(((await response.json()) as { detail: string }).detail).toContain(detail);
    expect(recorder.calls).toEqual([]);
  });
});

test("a body that stalls is given up", async () => {
  const stalled = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([123])) });
  const request = new Request("http://gateway/v1/sessions", {
    method: "POST",
    headers: { authorization: "Bearer alice" },
    body: stalled,
    duplex: "half",
  } as RequestInit);
  const response = await app.request(request);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ detail: "the body did not come in time" });
  expect(recorder.calls).toEqual([]);
});

test("one's own sessions are listed, shown and ended", async () => {
  expect(await (await ask("GET", "/v1/sessions")).json()).toEqual({ sessions: [recorder.views.get(MINE)] });
  const shown = await ask("GET", `/v1/sessions/${MINE}`);
  expect(shown.headers.get("steno-session")).toBe(MINE);
  expect(await shown.json()).toEqual(recorder.views.get(MINE));
  expect((await ask("DELETE", `/v1/sessions/${MINE}`)).status).toBe(200);
  expect(recorder.calls).toContainEqual(["end", "alice", MINE]);
});

test("another's session is neither shown nor ended", async () => {
  for (const method of ["GET", "DELETE"]) {
    const response = await ask(method, `/v1/sessions/${OTHERS}`);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ type: "urn:steno:refusal:not_yours" });
  }
});

test("nothing is asked of the recorder before the caller is known", async () => {
  for (const [method, path] of [
    ["POST", "/v1/sessions"],
    ["GET", "/v1/sessions"],
    ["GET", `/v1/sessions/${MINE}`],
    ["DELETE", `/v1/sessions/${MINE}`],
    ["DELETE", "/v1/sessions/nonsense"],
    ["GET", "/v1/connections"],
  ] as const) {
    const response = await app.request(path, { method });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="steno"');
  }
  expect(recorder.calls).toEqual([]);
});

test("whoever may come at all is told what there is to connect to", async () => {
  const response = await ask("GET", "/v1/connections");
  expect([response.status, await response.json()]).toEqual([200, { connections: CONNECTIONS }]);
  expect(recorder.calls).toEqual([]);
});

test("who signs people in is said to anybody, since without a token nobody could be asked", async () => {
  const response = await app.request("/v1/issuers");
  expect([response.status, await response.json()]).toEqual([200, { issuers: ["https://idp.example"] }]);
});

test("an id that is none is refused", async () => {
  expect((await ask("GET", "/v1/sessions/ses_x")).status).toBe(400);
  expect((await ask("DELETE", "/v1/sessions/ses_x")).status).toBe(400);
});

test("a recorder that is gone is a 500 with an id for a call, and not ready", async () => {
  recorder.broken = new Error("disk full at /var/lib");
  const response = await ask("GET", "/v1/sessions");
  expect(response.status).toBe(500);
  const text = await response.text();
  expect(text).not.toContain("disk");
  expect(logged[0]).toMatchObject({
    event: "fault",
    instance: (JSON.parse(text) as { instance: string }).instance,
  });
  expect((await app.request("/readyz")).status).toBe(503);
  expect((await app.request("/healthz")).status).toBe(200);
});

test("readiness touches no session, and other paths stay the gateway's", async () => {
  expect(await (await app.request("/readyz")).text()).toBe("ok\n");
  expect(recorder.calls).toEqual([["ready"]]);
  expect(((await (await app.request("/v2")).json()) as { detail: string }).detail).toBe(
    "nothing is served at this path",
  );
});
