// What a client may ask for before somebody says no: long names, bodies that stall, and what the record then says.
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { header, raw } from "#test/support/tap.ts";

const STALL_SECONDS = 1;
let site: GitSite;

beforeAll(async () => {
  site = await startGitSite({ serve: { stall_seconds: STALL_SECONDS } });
  await tinyRepository(join(site.server.root, "app.git"));
});
beforeEach(() => {
  site.tap.passed.length = 0;
  site.tap.instead = undefined;
});
afterAll(async () => {
  await site?.stop();
});

const bearer = async (sub?: string) => ({ authorization: `Bearer ${await site.token(sub)}` });
const refs = () => `${site.url("app.git")}/info/refs?service=git-upload-pack`;
const long = "a".repeat(66_000);
const zero = "0".repeat(40);

const packet = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;

/** Sends a request as it is given, and gives the head of what comes back, "nothing" when nothing does. */
async function sent(method: string, path: string, headers: object, body: string): Promise<{ text: string }> {
  const { hostname, port } = new URL(site.node.gateway());
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(Number(port), hostname, () => {
    const lines = Object.entries({ host: hostname, ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
  });
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    text += chunk;
    if (text.includes("\r\n\r\n")) resolve(text);
  });
  socket.on("error", reject).on("close", () => resolve(text));
  const late = setTimeout(() => resolve("nothing"), 60_000);
  try {
    return { text: await promise };
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
}

describe("a request too long for the record", () => {
  test("by its path is refused and recorded cut, whether its sender is known or not", async () => {
    // A URL's parser makes three letters of each.
    const path = new URL(`${site.url("app.git")}/info/`).pathname + '"'.repeat(30_000);
    expect(await sent("GET", path, {}, "")).toMatchObject({ text: expect.stringContaining("HTTP/1.1 401") });
    const { text } = await sent("GET", path, await bearer(), "");
    expect(text).toContain("HTTP/1.1 404");
    expect(text.toLowerCase()).toContain("steno-session: ses_");
  });

  test("by its headers is refused and recorded without them", async () => {
    const { status, headers, body } = await raw(refs(), { ...(await bearer()), "user-agent": long });
    expect(status).toBe(200);
    expect(body.toString()).toContain("ERR the request is too long for the record");
    expect(headers.map((text) => text.toLowerCase())).toContain("steno-session");
    expect(site.tap.passed).toEqual([]);
  });

  test("by the refs of a denied push is refused with the reason, and the decision is recorded", async () => {
    const commands = Array.from({ length: 100 }, (_, i) => {
      const ref = `refs/heads/${"b".repeat(900)}${i}`;
      return packet(`${"1".repeat(40)} ${zero} ${ref}${i === 0 ? "\0report-status side-band-64k" : ""}`);
    });
    const response = await fetch(`${site.url("app.git")}/git-receive-pack`, {
      method: "POST",
      headers: { ...(await bearer("eve")), "content-type": "application/x-git-receive-pack-request" },
      body: `${commands.join("")}0000`,
    });
    expect(await response.text()).toContain("git.delete");
    expect(site.tap.passed).toEqual([]);
  });
});

/** A body that promises more than it sends. */
const stalled = (path: string, headers: object) =>
  sent("POST", path, { "content-length": 1_000_000, ...headers }, "00");

describe("a body that stalls", () => {
  const push = () => new URL(`${site.url("app.git")}/git-receive-pack`).pathname;
  const type = { "content-type": "application/x-git-receive-pack-request" };

  test("before a decision is given up", async () => {
    const { text } = await stalled(push(), { ...(await bearer()), ...type });
    expect(text).toContain("HTTP/1.1 200");
    expect(site.tap.passed).toEqual([]);
  });

  test("after a refusal does not keep its sender from the answer", async () => {
    const { text } = await stalled(push(), { ...(await bearer()), "content-type": "text/plain" });
    expect(text).toContain("HTTP/1.1 200");
  });

  test("of somebody unknown is given up", async () => {
    const { text } = await stalled(push(), type);
    expect(text).toContain("HTTP/1.1 401");
  });
});

test("an upstream that takes a request and never answers is given up", async () => {
  site.tap.instead = () => true;
  const { body } = await raw(refs(), await bearer());
  expect(body.toString()).toContain("ERR the upstream sent nothing for 1 s");
});

test("an attempt on a session of somebody else is in one's own session", async () => {
  const opened = await fetch(`${site.node.gateway()}/v1/sessions`, {
    method: "POST",
    headers: await bearer(),
  });
  const { session } = (await opened.json()) as { readonly session: string };
  const { body, headers } = await raw(refs(), { ...(await bearer("mallory")), "steno-session": session });
  expect(body.toString()).toContain(`ERR session ${session} is not one of yours`);
  expect(header(headers, "steno-session")).toMatch(/^ses_/);
  expect(header(headers, "steno-session")).not.toBe(session);
});

test("what was sealed of all this is sound", async () => {
  expect(await site.seal()).toEqual(SOUND);
});
