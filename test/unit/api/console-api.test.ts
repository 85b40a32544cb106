import { beforeEach, describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { consoleApi } from "#workers/api/console-api.ts";
import type { App } from "#workers/api/surface.ts";
import { ABSENT, ALICE, APPROVAL, MINE, NOW, Recorder, STANDING } from "./recorder.ts";

const ROLES = { auditor: ["security"], approver: ["leads"], admin: ["platform"], privacy: ["dpo"] };
/** As jose attaches the claims it did not accept. */
const CAUSE = new Error("aud", { cause: { payload: { email: "mallory@example" } } });
/** Token to groups; what is not here is no token. */
const TOKENS: Readonly<Record<string, readonly string[]>> = {
  auditor: ["security"],
  approver: ["leads"],
  admin: ["platform"],
  privacy: ["dpo"],
  developer: ["eng"],
  agent: ["platform", "security"],
};

let recorder: Recorder;
let logged: Readonly<Record<string, unknown>>[];
let app: App;
/** What the token says of the login. */
let login: { authenticatedAt?: number; issuedAt?: number };
beforeEach(() => {
  recorder = new Recorder();
  logged = [];
  login = { authenticatedAt: NOW };
  app = consoleApi({
    read: recorder,
    kill: recorder.kill,
    custody: recorder.custody,
    decide: recorder.decide,
    now: () => NOW,
    loginSeconds: 300,
    standingSeconds: 7200,
    standing: recorder.standing,
    scope: recorder.scope,
    roles: ROLES,
    log: (line) => logged.push(line),
    authenticate: async (token) => {
      const groups = TOKENS[token];
      if (!groups) throw new Refusal("unauthenticated", "the token was not accepted", { cause: CAUSE });
      const agent = token === "agent" ? { agent: "cursor-1" } : {};
      return { principal: { ...ALICE, subject: token, groups: [...groups], ...agent }, expires: 0, ...login };
    },
  });
});

const ask = (path: string, token?: string, method = "GET") =>
  app.request(path, { method, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });

const LIST = "/api/v1/sessions";
const SHOW = `/api/v1/sessions/${MINE}`;
const KILL = `/api/v1/sessions/${MINE}/kill`;

describe("who may do what", () => {
  test.each([
    ["auditor", 200, 200, 403],
    ["admin", 200, 200, 200],
    ["approver", 403, 403, 403],
    ["developer", 403, 403, 403],
    ["agent", 403, 403, 403],
    ["stranger", 401, 401, 401],
    [undefined, 401, 401, 401],
  ])("%s: list %i, show %i, kill %i", async (token, list, show, kill) => {
    expect((await ask(LIST, token)).status).toBe(list);
    expect((await ask(SHOW, token)).status).toBe(show);
    expect((await ask(KILL, token, "POST")).status).toBe(kill);
    expect(JSON.stringify(recorder.calls).includes("kill")).toBe(kill === 200);
  });

  test.each([
    ["approver", 200, 200, 200],
    ["auditor", 200, 200, 403],
    ["admin", 403, 403, 403],
    ["developer", 403, 403, 403],
    ["agent", 403, 403, 403],
    [undefined, 401, 401, 401],
  ])("%s: list approvals %i, show %i, approve, deny, comment %i", async (token, list, show, decide) => {
    const path = `/api/v1/approvals/${APPROVAL}`;
    expect((await ask("/api/v1/approvals", token)).status).toBe(list);
    expect((await ask(path, token)).status).toBe(show);
    for (const verb of ["approve", "deny"])
      expect((await ask(`${path}/${verb}`, token, "POST")).status).toBe(decide);
    const said = recorder.calls.filter((call) => /^(approve|deny),/.test(String(call)));
    expect(said).toHaveLength(decide === 200 ? 2 : 0);
  });

  test.each<[string, number, typeof login]>([
    ["just now", 200, { authenticatedAt: NOW - 300_000 }],
    ["too long ago", 403, { authenticatedAt: NOW - 300_001 }],
    ["too long ago, with a token of just now", 403, { authenticatedAt: NOW - 300_001, issuedAt: NOW }],
    ["nobody says when, with a token of just now", 200, { issuedAt: NOW }],
    ["nobody says when, with an old token", 403, { issuedAt: NOW - 300_001 }],
    ["nobody says when", 403, {}],
  ])("somebody who logged in %s may decide: %i", async (_, status, said) => {
    login = said;
    for (const verb of ["approve", "deny"])
      expect((await ask(`/api/v1/approvals/${APPROVAL}/${verb}`, "approver", "POST")).status).toBe(status);
    expect((await ask(`/api/v1/approvals/${APPROVAL}`, "approver")).status).toBe(200);
  });

  test("a token as a Basic password is refused: browsers send those by themselves", async () => {
    const response = await app.request(LIST, { headers: { authorization: `Basic ${btoa("x:admin")}` } });
    expect(response.status).toBe(401);
    expect(recorder.calls).toEqual([]);
  });

  test("nobody who is not admitted learns whether a session exists", async () => {
    const absent = `/api/v1/sessions/${ABSENT}`;
    for (const token of [undefined, "developer"]) {
      expect((await ask(absent, token)).status).toBe((await ask(SHOW, token)).status);
    }
    expect(recorder.calls).toEqual([]);
  });
});

test("sessions come as they are known to the recorder", async () => {
  expect(await (await ask(LIST, "auditor")).json()).toEqual({ sessions: [...recorder.views.values()] });
  expect(await (await ask(SHOW, "auditor")).json()).toEqual(recorder.views.get(MINE));
});

const ERASE = `/api/v1/sessions/${MINE}/erase`;
const HOLD = `/api/v1/sessions/${MINE}/legal-hold`;
const post = (path: string, token: string, body: unknown) =>
  app.request(path, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });

describe("an end to what can be read", () => {
  test.each([
    ["privacy", 200, 403],
    ["auditor", 403, 200],
    ["admin", 403, 403],
    ["approver", 403, 403],
    ["agent", 403, 403],
  ])("%s: erase %i, legal hold %i", async (token, erase, hold) => {
    expect((await post(ERASE, token, { reason: "DSR-1" })).status).toBe(erase);
    expect((await post(HOLD, token, { reason: "case/2", state: "set" })).status).toBe(hold);
    const calls = JSON.stringify(recorder.calls);
    expect([calls.includes("erase"), calls.includes("legal-hold")]).toEqual([erase === 200, hold === 200]);
  });

  test("says by whom, and for which case", async () => {
    await post(ERASE, "privacy", { reason: "DSR-1" });
    await post(HOLD, "auditor", { reason: "case/2", state: "lifted" });
    expect(recorder.calls).toContainEqual(["erase", MINE, "privacy", "DSR-1"]);
    expect(recorder.calls).toContainEqual(["legal-hold", MINE, "auditor", "lifted", "case/2"]);
  });

  test.each([
    [ERASE, {}],
    [ERASE, { reason: "Alice asked for it" }],
    [ERASE, { reason: "DSR-1", more: 1 }],
    [ERASE, "DSR-1"],
    [HOLD, { reason: "case/2" }],
    [HOLD, { reason: "case/2", state: "on" }],
  ])("%s with %j is malformed, and nothing is done", async (path, body) => {
    const response = await post(path, path === ERASE ? "privacy" : "auditor", body);
    expect(response.status).toBe(400);
    expect(recorder.calls).toEqual([]);
  });
});

test("a kill says who did it", async () => {
  await ask(KILL, "admin", "POST");
  expect(recorder.calls).toContainEqual(["kill", MINE, "admin"]);
});

test("a kill is a POST: a link cannot do it", async () => {
  expect((await ask(KILL, "admin")).status).toBe(404);
  expect(recorder.calls).toEqual([]);
});

describe("a no is a problem document with an id", () => {
  test.each([
    ["an absent session", `/api/v1/sessions/${ABSENT}`, 404, "urn:steno:refusal:unknown_path"],
    ["an id that is none", "/api/v1/sessions/ses_1", 400, "urn:steno:refusal:malformed"],
    ["an id in lower case", `/api/v1/sessions/${MINE.toLowerCase()}`, 400, "urn:steno:refusal:malformed"],
    ["a path that is not served", "/api/v1/recordings", 404, "urn:steno:refusal:unknown_path"],
  ])("%s", async (_what, path, status, type) => {
    const response = await ask(path, "auditor");
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const problem = (await response.json()) as Record<string, unknown>;
    expect(problem).toMatchObject({ type, status, instance: expect.stringMatching(/^urn:uuid:/) });
    expect(Object.keys(problem)).toEqual(["type", "title", "status", "detail", "instance"]);
  });

  test("a session that has ended cannot be killed", async () => {
    recorder.views.set(MINE, { ...(recorder.views.get(MINE) ?? fail()), status: "sealed" });
    const response = await ask(KILL, "admin", "POST");
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ type: "urn:steno:refusal:session_ended" });
  });

  test("401 says how to authenticate, and the log has the cause that the answer has not", async () => {
    const response = await ask(LIST, "stranger");
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="steno-console"');
    const { instance, detail } = (await response.json()) as { instance: string; detail: string };
    expect(detail).toBe("the token was not accepted");
    expect(logged).toEqual([
      expect.objectContaining({ event: "refused", instance, code: "unauthenticated" }),
    ]);
    expect(String(logged[0]?.["cause"])).toContain("aud");
    expect(JSON.stringify(logged)).not.toMatch(/stranger|mallory|object Object/);
  });

  test("a bug is a 500 with an id, without internals, and is logged under that id", async () => {
    recorder.broken = new Error("SQLITE_FULL at /var/lib/steno");
    const response = await ask(LIST, "auditor");
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(text).not.toContain("SQLITE");
    const { instance } = JSON.parse(text) as { instance: string };
    expect(logged).toEqual([expect.objectContaining({ event: "fault", instance, level: "error" })]);
    expect(String(logged[0]?.["cause"])).toContain("SQLITE_FULL");
  });
});

test("every response has the security headers, the refused and the faulty too", async () => {
  const responses = [
    await ask(LIST, "auditor"),
    await ask(LIST),
    await ask("/nowhere"),
    await ask("/healthz"),
  ];
  recorder.broken = new Error("gone");
  responses.push(await ask(LIST, "auditor"));
  for (const { headers } of responses) {
    expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  }
});

test("health needs nothing; readiness needs the recorder", async () => {
  expect((await ask("/healthz")).status).toBe(200);
  expect((await ask("/readyz")).status).toBe(200);
  recorder.broken = new Error("gone");
  expect((await ask("/healthz")).status).toBe(200);
  const unready = await ask("/readyz");
  expect(unready.status).toBe(503);
  expect(await unready.json()).toMatchObject({ type: "urn:steno:refusal:not_recorded" });
});

function fail(): never {
  throw new Error("the fake lost its session");
}

describe("what is approved in advance", () => {
  const TERMS = { scope: "permit(…)", reason: "the release week", groups: ["leads"], minutes: 120 };
  const ONE = `/api/v1/standing/${STANDING}`;

  test.each([
    ["approver", 200, 200],
    ["auditor", 200, 403],
    ["admin", 403, 403],
    ["agent", 403, 403],
  ])("%s: look %i, grant, join, revoke %i", async (token, look, grant) => {
    expect((await ask("/api/v1/standing", token)).status).toBe(look);
    expect((await ask(ONE, token)).status).toBe(look);
    expect((await post("/api/v1/standing", token, TERMS)).status).toBe(grant);
    expect((await post(`${ONE}/join`, token, { groups: ["leads"] })).status).toBe(grant);
    expect((await post(`${ONE}/revoke`, token, { comment: "enough" })).status).toBe(grant);
    const said = recorder.calls.filter((call) => /^(grant|join|revoke),/.test(String(call)));
    expect(said).toHaveLength(grant === 200 ? 3 : 0);
  });

  test("is granted as which group, by whom, for how long and why", async () => {
    await post("/api/v1/standing", "approver", TERMS);
    const { minutes: _, ...terms } = TERMS;
    expect(recorder.calls).toEqual([["grant", { ...terms, seconds: 7_200 }, "approver"]]);
  });

  test("takes a login of just now; to revoke it does not", async () => {
    login = { authenticatedAt: NOW - 300_001 };
    expect((await post("/api/v1/standing", "approver", TERMS)).status).toBe(403);
    expect((await post(`${ONE}/join`, "approver", { groups: ["leads"] })).status).toBe(403);
    expect((await post(`${ONE}/revoke`, "approver", {})).status).toBe(200);
  });

  test.each([
    [{ ...TERMS, minutes: 121 }, "at most 120 on this node"],
    [{ ...TERMS, minutes: 0 }, "minutes"],
    [{ ...TERMS, minutes: 1.5 }, "minutes"],
    [{ ...TERMS, groups: [] }, "groups"],
    [{ ...TERMS, reason: "" }, "reason"],
    [{ ...TERMS, scope: "" }, "scope"],
    [{ ...TERMS, scope: "nonsense" }, "scope: line 1: not Cedar"],
    [{ ...TERMS, more: 1 }, "more"],
  ])("%j is malformed, and nothing is granted", async (terms, why) => {
    const response = await post("/api/v1/standing", "approver", terms);
    expect([response.status, JSON.stringify(await response.json())]).toEqual([
      400,
      expect.stringContaining(why),
    ]);
    expect(recorder.calls).toEqual([]);
  });

  test("an id that is none, or nobody's, is said to be that", async () => {
    expect((await post("/api/v1/standing/apr_1/revoke", "approver", {})).status).toBe(400);
    const other = STANDING.replace(/F$/, "G");
    expect((await post(`/api/v1/standing/${other}/revoke`, "approver", {})).status).toBe(404);
  });
});
