// Budgets through a whole node: who has used one up is told in the protocol's own words, and others go on.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { gitClient } from "#test/support/git-client.ts";
import { type ModelServer, startModels } from "#test/support/servers/models.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { startWeb, type WebServer } from "#test/support/servers/web.ts";
import { type Node, startNode } from "#test/support/steno.ts";

let oidc: OidcServer;
let web: WebServer;
let models: ModelServer;
let node: Node;
const tokens = new Map<string, string>();

beforeAll(async () => {
  [oidc, web, models] = await Promise.all([startOidc(), startWeb(), startModels()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [
      { name: "tickets", kind: "http", upstream: `${web.url}/api` },
      { name: "models", kind: "llm", upstream: models.url },
      { name: "code", kind: "git", upstream: web.url },
    ],
    budgets: [
      { name: "tickets", connection: "tickets", requests: 3 },
      { name: "at-once", connection: "tickets", concurrent: 1 },
      { name: "chat", operation: "llm.*", requests: 1 },
      { name: "reading", operation: "git.*", requests: 1 },
    ],
    policies: { "all.cedar": '@id("all") permit (principal, action, resource);' },
  });
  for (const sub of ["alice", "bob"]) tokens.set(sub, await oidc.token({ sub, audience: "steno" }));
});
afterAll(async () => {
  await node?.stop();
  await web?.stop();
  await models?.stop();
  await oidc?.stop();
});

const ask = (sub: string, path = "/v1/x"): Promise<Response> =>
  fetch(`${node.gateway()}/http/tickets${path}`, { headers: { authorization: `Bearer ${tokens.get(sub)}` } });

test("an API answers 429 with when to try again, never reaches the service, and others go on", async () => {
  web.seen.length = 0;
  for (let i = 0; i < 3; i++) expect((await ask("alice")).status).toBe(200);
  const refused = await ask("alice");
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({
    type: "urn:steno:refusal:rate_limited",
    detail: expect.stringMatching(/^the budget "tickets" has no requests left: try again in \d+ s$/),
  });
  expect(web.seen).toHaveLength(3);
  expect((await ask("bob")).status).toBe(200);
});

test("a second exchange at once waits for the first to be over", async () => {
  const control = new AbortController();
  const endless = await fetch(`${node.gateway()}/http/tickets/endless`, {
    headers: { authorization: `Bearer ${tokens.get("bob")}` },
    signal: control.signal,
  });
  expect(endless.status).toBe(200);
  const refused = await ask("bob");
  expect([refused.status, (await refused.json()).detail]).toEqual([
    429,
    'the budget "at-once" has no requests at once left: try again in 1 s',
  ]);
  control.abort();
});

test("a model's client is told as its provider would tell it", async () => {
  const client = new OpenAI({
    baseURL: `${node.gateway()}/llm/models/v1`,
    apiKey: tokens.get("alice") ?? "",
    maxRetries: 0,
  });
  const messages = [{ role: "user" as const, content: "hello" }];
  await client.chat.completions.create({ model: "gpt-5", messages });
  await expect(client.chat.completions.create({ model: "gpt-5", messages })).rejects.toThrow(
    OpenAI.RateLimitError,
  );
});

test("git is told in a sentence", async () => {
  const client = gitClient({ token: tokens.get("alice") ?? "", origin: node.gateway() });
  await client.attempt("ls-remote", `${node.gateway()}/git/code/app.git`);
  const { code, stderr } = await client.attempt("ls-remote", `${node.gateway()}/git/code/app.git`);
  expect(code).toBe(128);
  expect(stderr).toMatch(
    /fatal: remote error: the budget "reading" has no requests left: try again in \d+ s/,
  );
  client.remove();
});
