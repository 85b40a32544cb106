// What is approved in advance passes without asking, for a while and no further; revoked, it cuts what is under way by it.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ApprovalEvent } from "#durable/format/approval/approval.ts";
import { type Approver, approverOf } from "#test/support/approver.ts";
import { endSessions } from "#test/support/git-site.ts";
import { readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { startWeb, type WebServer } from "#test/support/servers/web.ts";
import { cli, type Node, startNode } from "#test/support/steno.ts";

const POLICY = `
@id("all") @reason("developers work here")
permit(principal, action, resource) when { principal in Group::"developers" };
@id("held") @hold("leads") @reason("a lead looks at these")
forbid(principal, action == Action::"http.request", resource)
when { ["/notes", "/endless"].contains(context.path) };
@id("twice") @hold("leads, security") @reason("looked at twice")
forbid(principal, action == Action::"http.request", resource) when { context.path == "/orders" };
`;
const scopeOf = (path: string): string =>
  `permit(principal in Group::"developers", action == Action::"http.request", resource in Connection::"tickets")\nwhen { context.path == "${path}" };\n`;

let oidc: OidcServer;
let web: WebServer;
let node: Node;
let token: string;
let bob: Approver;

beforeAll(async () => {
  [oidc, web] = await Promise.all([startOidc(), startWeb()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [{ name: "tickets", kind: "http", upstream: `${web.url}/api` }],
    policies: { "all.cedar": POLICY },
    serve: { topology: "split", fronts: 1 },
    roles: { approver: ["leads", "security"] },
    approvals: { standing_seconds: 7200 },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  bob = approverOf(node, await oidc.token({ sub: "bob", audience: "steno-console" }));
});
afterAll(async () => {
  await node?.stop();
  await web?.stop();
  await oidc?.stop();
});

const authorization = () => ({ authorization: `Bearer ${token}` });
const post = (path: string, body = "{}"): Promise<Response> =>
  fetch(`${node.gateway()}/http/tickets${path}`, { method: "POST", body, headers: authorization() });

async function standing(sub: string, ...args: string[]) {
  const env = { ...process.env, STENO_TOKEN: await oidc.token({ sub, audience: "steno-console" }) };
  return cli(["standing", ...args, "--console", node.console()], "", env);
}
async function grant(path: string, ...more: string[]): Promise<string> {
  const file = join(node.directory, "scope.cedar");
  writeFileSync(file, scopeOf(path));
  const asked = ["--scope", file, "--reason", "the release week", "--minutes", "120", "--group", "leads"];
  const { code, out, err } = await standing("bob", "grant", ...asked, ...more, "--json");
  rmSync(file);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return (JSON.parse(out) as { standing: string }).standing;
}
const eventsOf = async (response: Response): Promise<readonly ApprovalEvent[]> => {
  const x = response.headers.get("steno-exchange");
  const all = await bob.list();
  const found = all.find(({ exchange }) => exchange === x);
  return found ? (await bob.show(found.approval)).events : [];
};

test("what is covered passes at once and says by whom; what is not, and what comes after, is held", async () => {
  expect((await post("/notes")).status).toBe(409);
  const id = await grant("/notes");
  const passed = await post("/notes", '{"other":1}');
  expect(passed.status).toBe(200);
  expect(await eventsOf(passed)).toMatchObject([
    {
      step: "standing",
      standing: { standing: id, scope: scopeOf("/notes"), by: [{ subject: "bob", groups: ["leads"] }] },
    },
    { step: "release" },
    { step: "outcome" },
    { step: "view" },
  ]);
  // Again and again, also the very same, and what waited for somebody.
  for (const body of ['{"other":1}', "{}", "{}"]) expect((await post("/notes", body)).status).toBe(200);
  expect((await post("/endless")).status).toBe(409);
  expect(await standing("bob", "revoke", id, "--comment", "the week is over")).toMatchObject({ code: 0 });
  expect((await post("/notes")).status).toBe(409);
  const { out } = await standing("bob", "show", id);
  expect(out).toContain("state revoked");
  expect(out).toContain("revoked by Bob Baker: the week is over");
  expect((await standing("bob", "list")).out).toContain("the release week");
  expect(node.output()).toContain('"code":"standing_approval_grant"');
});

test("revoked, it cuts an answer that is under way by it, upstream as well", async () => {
  const id = await grant("/endless");
  const cut = web.cut();
  const response = await post("/endless", '{"mine":1}');
  expect(response.status).toBe(200);
  const reader = response.body?.getReader();
  expect((await reader?.read())?.done).toBe(false);
  const ended = (async () => {
    while ((await reader?.read())?.done === false);
  })();
  const broken = expect(ended).rejects.toThrow();
  await standing("bob", "revoke", id);
  await broken;
  await until(() => web.cut() > cut, "the upstream to be let go");
  expect((await eventsOf(response)).map(({ step }) => step)).toContain("revoke");
});

test("what takes two groups passes when somebody of the other has joined", async () => {
  const id = await grant("/orders");
  expect((await post("/orders")).status).toBe(409);
  expect(await standing("carol", "join", id, "--group", "leads")).toMatchObject({
    code: 1,
    err: expect.stringContaining("you are not a member of leads"),
  });
  expect(await standing("carol", "join", id, "--group", "security")).toMatchObject({ code: 0 });
  expect(await standing("carol", "join", id, "--group", "security")).toMatchObject({
    code: 1,
    err: expect.stringContaining("you have granted it already"),
  });
  expect((await post("/orders")).status).toBe(200);
});

test("a scope that says everything, or nothing that is Cedar, is refused with the line and how to mend it", async () => {
  const file = join(node.directory, "scope.cedar");
  const asked = ["grant", "--scope", file, "--reason", "why", "--minutes", "5", "--group", "leads"];
  writeFileSync(file, "permit(principal, action, resource);");
  expect(await standing("bob", ...asked)).toMatchObject({
    code: 1,
    err: expect.stringContaining("scope: line 1: a scope that covers every action or every resource is none"),
  });
  writeFileSync(file, "\npermit(principal, action == Action::");
  expect((await standing("bob", ...asked)).err).toContain("scope: line 2: ");
  expect(await standing("bob", ...asked.slice(0, 3))).toMatchObject({ code: 2 });
  expect(await standing("dave", ...asked)).toMatchObject({ code: 1 });
});

test("the record is sound, and the log has who granted and revoked what", async () => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  expect(await node.cli("verify", node.archive)).toMatchObject({ code: 0 });
  const { sessions } = await readRecording(node.archive);
  const steps = [...sessions.values()]
    .flat()
    .flatMap((frame) => (frame.k === "approval" ? [frame.step] : []));
  expect(steps.filter((step) => step === "revoke")).toHaveLength(1);
  // Three were granted, one joined, two revoked: each is an entry of the log.
  const entries = readdirSync(node.archive, { recursive: true, encoding: "utf8" })
    .filter((name) => /^log\/entry\//.test(name) && name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(node.archive, name), "utf8")))
    .map(({ dsseEnvelope }) => JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString()))
    .filter(({ predicateType }) => predicateType === "urn:steno:attestation:standing-approval:v1");
  const said = Object.groupBy(entries, ({ predicate }) => predicate.event);
  expect([said["grant"]?.length, said["join"]?.length, said["revoke"]?.length]).toEqual([3, 1, 2]);
});
