// Sessions through a whole node: how they begin, whose they are, how they end, and who may say so.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Frame } from "#durable/format/frame.ts";
import {
  type FaultSite,
  notInRecord,
  RESULT,
  sealsIn,
  seen,
  startFaultSite,
  unique,
} from "#test/support/faults.ts";
import { readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { cli } from "#test/support/steno.ts";

let site: FaultSite;
/** Pieces of `drip.git` go out until this says no more. */
let dripping = true;
/** Requests to `silent.git`, which is never answered, that were given up. */
let gone = 0;

beforeAll(async () => {
  site = await startFaultSite({
    session: { idle_seconds: 2, max_seconds: 10, head_seconds: 1 },
    instead: (request, response) => {
      if (request.url?.includes("silent")) {
        response.once("close", () => gone++);
        return true;
      }
      if (!request.url?.includes("drip")) return unique(request, response);
      response.writeHead(200, RESULT);
      const timer = setInterval(() => (dripping ? response.write("piece ") : response.end()), 100);
      response.once("close", () => clearInterval(timer));
      return true;
    },
  });
});
afterAll(async () => await site?.stop());

const api = async (method: string, path: string, sub = "alice", body?: object) => {
  const headers = { authorization: `Bearer ${await site.token(sub)}` };
  const response = await fetch(`${site.front.url}${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const opened = async (sub = "alice", body?: object): Promise<string> => {
  const { status, body: view } = await api("POST", "/v1/sessions", sub, body);
  expect(status).toBe(201);
  return String(view["session"]);
};
/** What was sealed of a session, once it is: nobody asks the node for it. */
async function framesOf(session = ""): Promise<readonly Frame[]> {
  await until(() => sealsIn(site.node.archive).has(session), "the seal");
  return (await readRecording(site.node.archive)).sessions.get(session) ?? [];
}

describe("an exchange joins", () => {
  test("the open session of its principal, client and conversation, and no other", async () => {
    const a1 = await site.ask({ conversation: "a" });
    const a2 = await site.ask({ conversation: "a" });
    const b = await site.ask({ conversation: "b" });
    const none = await site.ask();
    const bob = await site.ask({ conversation: "a", token: await site.token("bob") });
    expect(a2.session).toBe(a1.session);
    expect(new Set([a1, b, none, bob].map(({ session }) => session)).size).toBe(4);
  });

  test("exactly one session although two agents begin at the same moment, time and again", async () => {
    const bob = await site.token("bob");
    for (let round = 0; round < 5; round++) {
      const conversation = (agent: number) => `race ${round} ${agent % 2}`;
      const asked = await Promise.all(
        Array.from({ length: 8 }, (_, agent) =>
          site.ask({ conversation: conversation(agent), ...(agent < 4 ? {} : { token: bob }) }),
        ),
      );
      const groups = new Map<string, Set<string | undefined>>();
      for (const [agent, { session }] of asked.entries()) {
        const key = `${agent < 4} ${conversation(agent)}`;
        groups.set(key, (groups.get(key) ?? new Set()).add(session));
      }
      expect([...groups.values()].map((each) => each.size)).toEqual([1, 1, 1, 1]);
      expect(new Set([...groups.values()].flatMap((each) => [...each])).size).toBe(4);
    }
  });

  test("the session it names, which was opened for it; after its end that is said, and nothing is forwarded", async () => {
    const session = await opened("alice", { client: "agent/1", conversation: "named" });
    expect(await site.ask({ session })).toMatchObject({ status: 200, session });
    expect(await site.ask({ session, conversation: "other" })).toMatchObject({ session });
    expect((await api("DELETE", `/v1/sessions/${session}`)).body).toMatchObject({
      session,
      reason: "request",
    });
    const reached = site.back.passed.length;
    const late = await site.ask({ session });
    expect(late.bytes.toString()).toMatch(/has ended/);
    expect(site.back.passed.length).toBe(reached);
  });

  test("nobody else's session: naming, seeing or ending it is refused, and nothing is forwarded", async () => {
    const session = await opened();
    const reached = site.back.passed.length;
    const stolen = await site.ask({ session, token: await site.token("bob") });
    expect(stolen.bytes.toString()).toContain("is not one of yours");
    expect(await site.ask({ session: "ses_nonsense" })).not.toMatchObject({ session: "ses_nonsense" });
    expect(site.back.passed.length).toBe(reached);
    expect((await api("GET", `/v1/sessions/${session}`, "bob")).status).toBe(403);
    expect((await api("DELETE", `/v1/sessions/${session}`, "bob")).status).toBe(403);
    const { body } = await api("GET", "/v1/sessions", "bob");
    expect(JSON.stringify(body)).not.toContain(session);
    expect((await api("GET", `/v1/sessions/${session}`)).body).toMatchObject({ status: "open" });
  });
});

describe.concurrent("a session ends", () => {
  test("by itself when it is idle, and the next exchange opens another", async ({ expect }) => {
    const how = { conversation: "idle" };
    let pair: (string | undefined)[] = [];
    // A machine that was busy for so long has let it be idle.
    for (let began = Number.NEGATIVE_INFINITY; performance.now() - began > 1_900; ) {
      began = performance.now();
      const { session } = await site.ask(how);
      await sleep(1_200);
      pair = [session, (await site.ask(how)).session];
    }
    const [session, again] = pair;
    expect(again).toBe(session);
    await sleep(3_000);
    expect((await site.ask(how)).session).not.toBe(session);
    expect((await framesOf(session)).at(-1)).toMatchObject({ k: "session.end", reason: "idle" });
  });

  test("at its maximum time although it is busy, and what is busy goes on in another", async ({ expect }) => {
    const how = { conversation: "busy" };
    const sessions = new Set<string | undefined>();
    const began = performance.now();
    while (sessions.size < 2) {
      const one = await site.ask(how);
      expect(one.status).toBe(200);
      sessions.add(one.session);
      await sleep(200);
    }
    // Not before its time, however busy the machine is.
    expect(performance.now() - began).toBeGreaterThan(9_000);
    expect((await framesOf([...sessions][0])).at(-1)).toMatchObject({ k: "session.end", reason: "max" });
  });
});

describe("an admin who kills a session", () => {
  test("cuts a live stream; the record says where, and who killed it", async () => {
    const response = await site.stream("drip.git", { conversation: "killed" });
    const session = response.headers.get("steno-session") ?? "";
    const streaming = seen(async () => response);
    await sleep(600);
    const { code, out } = await site.cli("dave", "session", "kill", session);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining(`killed ${session}`) });
    const { cut, bytes } = await streaming;
    expect(cut).toBe(true);
    expect(bytes.toString()).toMatch(/^(piece )+$/);
    const frames = await framesOf(session);
    expect(frames.at(-1)).toMatchObject({
      k: "session.end",
      reason: "killed",
      by: expect.stringMatching(/^http:\S+ dave$/),
    });
    expect(frames.at(-2)).toMatchObject({ k: "data", dir: "s2c", end: "cut" });
  });

  test("cuts an exchange that waits for an upstream which says nothing at all", async () => {
    const how = { conversation: "silent" };
    const { session = "" } = await site.ask(how);
    const waiting = seen(() => site.stream("silent.git", how));
    await sleep(300);
    expect((await site.cli("dave", "session", "kill", session)).code).toBe(0);
    const { bytes } = await waiting;
    expect(bytes.toString()).toContain("the session ended (killed)");
    await expect.poll(() => gone).toBe(1);
  });
});

describe("steno session", () => {
  test("lists and shows what there is to those who may see it, and to nobody else", async () => {
    const { session = "" } = await site.ask({ conversation: "cli" });
    for (const sub of ["carol", "dave"]) {
      const list = await site.cli(sub, "session", "list");
      expect(list).toMatchObject({ code: 0, err: "", out: expect.stringContaining(session) });
      const show = await site.cli(sub, "session", "show", session);
      expect(show).toMatchObject({ code: 0, out: expect.stringContaining("principal alice of ") });
    }
    for (const verb of [["list"], ["show", session], ["kill", session]]) {
      const no = await site.cli("alice", "session", ...verb);
      expect(no).toMatchObject({ code: 1, out: "", err: expect.stringContaining("this takes the role") });
    }
    const mine = await site.cli("bob", "session", "list", "--mine");
    expect(mine.out).not.toContain(session);
  });

  test("kills for admins only, ends for the owner only", async () => {
    const { session = "" } = await site.ask({ conversation: "ends" });
    const auditor = await site.cli("carol", "session", "kill", session);
    expect(auditor).toMatchObject({ code: 1, err: expect.stringContaining("this takes the role admin") });
    const stranger = await site.cli("bob", "session", "end", session);
    expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining("is not one of yours") });
    expect(await site.cli("alice", "session", "end", session)).toMatchObject({ code: 0 });
    const show = await site.cli("dave", "session", "show", session);
    expect(show.out).toContain("reason request");
  });

  test("takes no token of the other socket, none that is wrong, and says so with exit 2", async () => {
    const env = { ...process.env, STENO_GATEWAY: site.node.gateway(), STENO_CONSOLE: site.node.console() };
    const agents = await site.token("dave");
    const consoles = await site.token("dave", "steno-console");
    const list = (token: string, ...more: string[]) =>
      cli(["session", "list", ...more], site.node.config, { ...env, STENO_TOKEN: token });
    expect(await list(consoles)).toMatchObject({ code: 0 });
    for (const wrong of [list(agents), list(consoles, "--mine"), list("not.a.token"), list(`${consoles}x`)]) {
      const { code, out } = await wrong;
      expect({ code, out }).toEqual({ code: 2, out: "" });
    }
    expect(site.node.output()).not.toContain(consoles);
  });
});

test("all of it is sealed and verifies", async () => {
  dripping = false;
  await site.sealedAll();
  const { out } = await site.node.cli("verify", site.node.archive);
  expect(out).toContain("VALID COMPLETE");
  const recording = await readRecording(site.node.archive);
  expect(notInRecord(site.front.passed, site.back.passed, recording)).toEqual([]);
});
