// Taints through a whole node: what happened in a session decides what may happen next in it, whatever comes at once.
import { afterAll, beforeAll, expect, test } from "vitest";
import { endSessions } from "#test/support/git-site.ts";
import { readRecording } from "#test/support/recording.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { startWeb, type WebServer } from "#test/support/servers/web.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const POLICY = `
@id("all") permit (principal, action, resource);
@id("vault") @taint("secret-read") permit (principal, action == Action::"http.request", resource in Connection::"vault");
@id("kept") @reason("a secret was read in this session") forbid (principal, action == Action::"http.request", resource in Connection::"outside")
when { context.taints.contains("secret-read") };
@id("apart") @reason("not after the intranet") forbid (principal, action == Action::"http.request", resource in Connection::"intranet")
when { context.taints.contains("used:outside") && context.path == "/never" };
`;

let oidc: OidcServer;
let web: WebServer;
let node: Node;
let token: string;

beforeAll(async () => {
  [oidc, web] = await Promise.all([startOidc(), startWeb()]);
  const upstream = `${web.url}/api`;
  node = await startNode({
    issuer: oidc.issuer,
    connections: ["vault", "outside", "intranet"].map((name) => ({ name, kind: "http", upstream })),
    policies: { "all.cedar": POLICY },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
});
afterAll(async () => {
  await node?.stop();
  await web?.stop();
  await oidc?.stop();
});

const ask = (connection: string, conversation: string, path = "/x"): Promise<Response> =>
  fetch(`${node.gateway()}/http/${connection}${path}`, {
    headers: { authorization: `Bearer ${token}`, "steno-conversation": conversation },
  });
const status = async (connection: string, conversation: string, path?: string): Promise<number> => {
  const response = await ask(connection, conversation, path);
  await response.arrayBuffer();
  return response.status;
};

test("what was read in a session closes the way out of it, and of no other", async () => {
  expect(await status("outside", "one")).toBe(200);
  expect(await status("vault", "one")).toBe(200);
  const refused = await ask("outside", "one");
  expect([refused.status, (await refused.json()).detail]).toEqual([403, "a secret was read in this session"]);
  expect(await status("outside", "another")).toBe(200);
});

test("connections that were used are known by name", async () => {
  expect(await status("intranet", "three", "/never")).toBe(200);
  expect(await status("outside", "three")).toBe(200);
  expect(await status("intranet", "three", "/never")).toBe(403);
});

test("in a hundred exchanges at once none passes that was recorded after the secret was read", async () => {
  const all = Array.from({ length: 100 }, (_, i) => status(i === 20 ? "vault" : "outside", "crowd"));
  const statuses = await Promise.all(all);
  expect(statuses.every((each) => [200, 403, 409].includes(each))).toBe(true);
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { sessions } = await readRecording(node.archive);
  const frames = [...sessions.values()].find(
    ([first]) => first?.k === "session.start" && first.conversation === "crowd",
  );
  const decisions = (frames ?? []).flatMap((frame) => (frame.k === "decision" ? [frame] : []));
  const read = decisions.findIndex(({ taint }) => taint?.includes("secret-read"));
  expect(read).toBeGreaterThanOrEqual(0);
  expect(decisions.slice(read + 1).map(({ verdict }) => verdict)).not.toContain("allow");
  expect(decisions.slice(0, read).map(({ verdict }) => verdict)).not.toContain("deny");
});
