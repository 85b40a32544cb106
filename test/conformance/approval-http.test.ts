// Requests to APIs and models that wait for approval: nothing is held open, and what was approved passes once, byte for byte.
import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Approver, approverOf } from "#test/support/approver.ts";
import { endSessions } from "#test/support/git-site.ts";
import { until } from "#test/support/servers/children.ts";
import { type ModelServer, startModels } from "#test/support/servers/models.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { startWeb, type WebServer } from "#test/support/servers/web.ts";
import { cli, type Node, startNode } from "#test/support/steno.ts";
import { startTap, type Tap } from "#test/support/tap.ts";

const WHY = "a lead looks at what is written";
const POLICY = `
@id("all") @reason("developers work here")
permit(principal, action, resource) when { principal in Group::"developers" };
@id("writes") @hold("leads") @reason("${WHY}")
forbid(principal, action == Action::"http.request", resource) when { context.method != "GET" };
@id("opus") @hold("leads") @reason("opus costs too much")
forbid(principal, action == Action::"llm.chat", resource) when { resource.name like "*opus*" };
`;

let oidc: OidcServer;
let web: WebServer;
let models: ModelServer;
let tap: Tap;
let node: Node;
let token: string;
let bob: Approver;
let ear: Server;
/** What the webhooks were sent: path, fields and body. */
const heard: { readonly url: string; readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];

beforeAll(async () => {
  ear = createServer((request, response) => {
    const parts: Buffer[] = [];
    request
      .on("data", (part: Buffer) => parts.push(part))
      .on("end", () => {
        heard.push({
          url: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(parts).toString(),
        });
        response.end("ok");
      });
  });
  await new Promise<void>((resolve) => ear.listen(0, "127.0.0.1", resolve));
  const at = `http://127.0.0.1:${(ear.address() as AddressInfo).port}`;
  [oidc, web, models] = await Promise.all([startOidc(), startWeb(), startModels()]);
  tap = await startTap(web.url);
  const key = { credential: "env:KEY", scheme: "header", header: "x-api-key" };
  node = await startNode({
    issuer: oidc.issuer,
    connections: [
      { name: "tickets", kind: "http", upstream: `${tap.url}/api`, ...key },
      { name: "models", kind: "llm", upstream: models.url, ...key },
    ],
    policies: { "all.cedar": POLICY },
    roles: { approver: ["leads", "security"] },
    approvals: {
      url: "https://console.example/approvals",
      break_glass: ["security"],
      webhooks: [
        { url: `${at}/plain`, secret: "env:HOOK" },
        ...(["slack", "teams"] as const).map((shape) => ({ url: `${at}/${shape}`, shape })),
      ],
    },
    env: { KEY: "the-upstream-secret", HOOK: "the-webhook-secret" },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  bob = approverOf(node, await oidc.token({ sub: "bob", audience: "steno-console" }));
});
afterAll(async () => {
  await node?.stop();
  await new Promise((resolve) => ear.close(resolve));
  await tap?.stop();
  await models?.stop();
  await web?.stop();
  await oidc?.stop();
});

const post = (body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${node.gateway()}/http/tickets/notes`, {
    method: "POST",
    body,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
  });
const asked = async (body: string): Promise<string> => {
  const response = await post(body, { "steno-reason": "ticket 17" });
  expect(response.status).toBe(409);
  const approval = response.headers.get("steno-approval") ?? "";
  expect(await response.json()).toMatchObject({ type: "urn:steno:refusal:approval_pending", approval });
  return approval;
};

test("a request is answered 409 with its approval, and passes once with it when it is given", async () => {
  tap.passed.length = 0;
  const body = JSON.stringify({ note: "grün" });
  const approval = await asked(body);
  expect((await post(body, { "steno-approval": approval })).status).toBe(409);
  const news = fetch(`${node.gateway()}/v1/approvals/${approval}?wait=20`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect(await bob.show(approval)).toMatchObject({
    justification: "ticket 17",
    reason: WHY,
    state: "pending",
    soFar: {
      denied: 0,
      done: expect.arrayContaining([
        expect.objectContaining({ kind: "http.request", about: "POST /notes", verdict: "hold", status: 409 }),
      ]),
    },
  });
  expect(await (await news).json()).toMatchObject({ approval, events: [{ step: "view" }] });
  expect(tap.passed).toHaveLength(0);
  await bob.say(approval, "approve");
  const passed = await post(body, { "steno-approval": approval });
  expect(passed.status).toBeLessThan(300);
  expect(tap.passed).toHaveLength(1);
  expect(tap.passed[0]?.body().toString("utf8")).toBe(body);
  // It was for once.
  expect((await post(body, { "steno-approval": approval })).status).toBe(409);
  expect(tap.passed).toHaveLength(1);
});

test("a byte that is changed on the retry voids the approval, and nothing is sent", async () => {
  tap.passed.length = 0;
  const approval = await asked('{"pay":1}');
  await bob.say(approval, "approve");
  const changed = await post('{"pay":9}', { "steno-approval": approval });
  expect(changed.status).toBe(409);
  expect(await changed.json()).toMatchObject({
    detail: expect.stringContaining("is for other content, so it is void"),
  });
  expect((await bob.show(approval)).state).toBe("void");
  expect((await post('{"pay":1}', { "steno-approval": approval })).status).toBe(409);
  expect(tap.passed).toHaveLength(0);
});

test("what was approved is still approved after the node was killed and started again", async () => {
  tap.passed.length = 0;
  const approval = await asked('{"restart":true}');
  await node.crash();
  const again = approverOf(node, await oidc.token({ sub: "bob", audience: "steno-console" }));
  expect((await again.say(approval, "approve")).body.state).toBe("approved");
  await node.crash();
  expect((await post('{"restart":true}')).status).toBeLessThan(300);
  expect(tap.passed).toHaveLength(1);
  bob = again;
});

test("another person's token learns nothing of an approval", async () => {
  const approval = await asked('{"mine":1}');
  const others = await oidc.token({ sub: "bob", audience: "steno" });
  const headers = { authorization: `Bearer ${others}` };
  expect((await fetch(`${node.gateway()}/v1/approvals/${approval}`, { headers })).status).toBe(404);
});

test("a model's client gets the no as its provider says it, does not try again by itself, and passes later", async () => {
  const client = new Anthropic({
    baseURL: `${node.gateway()}/llm/models`,
    apiKey: token,
    maxRetries: 3,
  });
  const request = {
    model: "claude-opus-4",
    max_tokens: 20,
    messages: [{ role: "user" as const, content: "hello" }],
  };
  const refused = await client.messages.create(request).catch((thrown: unknown) => thrown);
  expect(refused).toBeInstanceOf(Anthropic.APIError);
  if (!(refused instanceof Anthropic.APIError)) throw refused;
  expect(refused.status).toBe(409);
  const approval = refused.headers?.get("steno-approval") ?? "";
  expect((await bob.list()).filter(({ operation }) => operation.kind === "llm.chat")).toHaveLength(1);
  await bob.say(approval, "approve");
  expect((await client.messages.create(request)).role).toBe("assistant");
});

test("webhooks are told what waits and what became of it, in their own words, signed, and nothing of what is in it", async () => {
  heard.length = 0;
  const approval = await asked('{"note":"between us"}');
  await bob.say(approval, "approve", "fine <3");
  expect((await post('{"note":"between us"}')).status).toBeLessThan(300);
  const of = (path: string) => heard.filter(({ url, body }) => url === path && body.includes(approval));
  await until(() => ["/plain", "/slack", "/teams"].every((path) => of(path).length === 3), "the webhooks");
  const plain = of("/plain").map(({ body }) => JSON.parse(body));
  expect(plain).toMatchObject([
    {
      type: "approval.open",
      state: "pending",
      requester: { subject: "alice" },
      operation: { kind: "http.request", about: "POST /notes" },
      justification: "ticket 17",
      url: `https://console.example/approvals/${approval}`,
    },
    { type: "approval.approve", state: "approved", by: { subject: "bob" }, text: "fine <3" },
    { type: "approval.release", state: "released" },
  ]);
  for (const { headers, body } of of("/plain")) {
    const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["steno-signature"])) ?? [];
    expect(createHmac("sha256", "the-webhook-secret").update(`${t}.${body}`).digest("hex")).toBe(v1);
  }
  const [, slack] = of("/slack").map(({ body }) => JSON.parse(body));
  expect(slack.text).toContain("approved by Bob Baker: ");
  expect(slack.blocks[0].text.text).toContain("&lt;3");
  const [teams] = of("/teams").map(({ body }) => JSON.parse(body));
  expect(teams.attachments[0].content.body[0].text).toContain("waits for approval by leads");
  expect(JSON.stringify(heard)).not.toMatch(/between us|the-webhook-secret|the-upstream-secret/);
  expect(of("/slack")[0]?.headers["steno-signature"]).toBeUndefined();
});

test("who breaks the glass lets it through alone; the record, the log, the operators and the webhooks say so", async () => {
  heard.length = 0;
  const approval = await asked('{"urgent":true}');
  const carol = await oidc.token({ sub: "carol", audience: "steno-console" });
  const how = ["--console", node.console()];
  const run = (...args: string[]) =>
    cli(["approvals", "break-glass", approval, ...args, ...how], "", { ...process.env, STENO_TOKEN: carol });
  expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining("say why") });
  expect(await run("--comment", "the site is down")).toMatchObject({ code: 0 });
  expect((await bob.show(approval)).events).toContainEqual(
    expect.objectContaining({
      step: "break-glass",
      text: "the site is down",
      by: expect.objectContaining({ subject: "carol" }),
    }),
  );
  expect((await post('{"urgent":true}')).status).toBeLessThan(300);
  expect(node.output()).toContain('"code":"break_glass"');
  await until(
    () => heard.some(({ url, body }) => url === "/slack" && body.includes("THE GLASS WAS BROKEN by Carol")),
    "the webhook",
  );
});

test("an administrator decides nothing", async () => {
  const approval = await asked('{"admin":1}');
  const dave = approverOf(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  expect((await dave.say(approval, "approve")).status).toBe(403);
});

test("the record is sound", async () => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  expect(await node.cli("verify", node.archive)).toMatchObject({ code: 0 });
});
