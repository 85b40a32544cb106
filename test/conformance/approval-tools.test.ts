// Tools and hooks that wait for approval: the call waits as long as its client does, and passes once, or nothing does.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { type ClientCapabilities, UrlElicitationRequiredError } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Shim } from "#scripts/hook/hook.ts";
import { type Approver, approverOf } from "#test/support/approver.ts";
import { endSessions } from "#test/support/git-site.ts";
import { runShim, type Said, SHIMS } from "#test/support/hook-shim.ts";
import { until } from "#test/support/servers/children.ts";
import { type McpTestServer, startMcp } from "#test/support/servers/mcp.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";
import { CURSOR_EXAMPLES } from "#test/unit/hooks/events.ts";

const POLICY = `
@id("all") @reason("developers work here")
permit (principal in Group::"developers", action, resource);
@id("echo") @hold("leads") @reason("a lead looks at what is said")
forbid (principal, action == Action::"mcp.tools/call", resource) when { resource.name == "echo" };
@id("shell") @hold("leads") @reason("a lead looks at commands that reach out")
forbid (principal, action == Action::"shell.exec", resource) when { context.programs.contains("curl") };
`;
const HOLD_SECONDS = 4;

let oidc: OidcServer;
let server: McpTestServer;
let node: Node;
let token: string;
let bob: Approver;
let client: Client;

beforeAll(async () => {
  [oidc, server] = await Promise.all([startOidc(), startMcp()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [
      { name: "tracker", kind: "mcp", upstream: server.url },
      { name: "cursor", kind: "hooks" },
    ],
    approvals: { hold_seconds: HOLD_SECONDS, url: "https://console.example/approvals" },
    policies: { "all.cedar": POLICY },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  bob = approverOf(node, await oidc.token({ sub: "bob", audience: "steno-console" }));
  client = await connected();
});
async function connected(capabilities: ClientCapabilities = {}, as = token): Promise<Client> {
  const one = new Client({ name: "cursor", version: "1.0.0" }, { capabilities });
  const headers = { authorization: `Bearer ${as}` };
  const url = new URL(`${node.gateway()}/mcp-token/tracker`);
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  await one.connect(transport as Parameters<Client["connect"]>[0]);
  return one;
}
beforeEach(() => {
  server.called.length = 0;
});
afterAll(async () => {
  await client?.close();
  await node?.stop();
  await server?.stop();
  await oidc?.stop();
});

type Result = { readonly isError?: boolean; readonly content: readonly { readonly text: string }[] };
const echo = async (text: string, signal?: AbortSignal): Promise<Result> =>
  (await client.callTool({ name: "echo", arguments: { text } }, undefined, signal && { signal })) as Result;
const said = ({ content }: Result): string => content[0]?.text ?? "";

describe("a tool's call", () => {
  test("waits, and is answered by the tool once it is approved", async () => {
    const calling = echo("hello");
    const { approval } = await bob.waiting();
    expect(await bob.show(approval)).toMatchObject({
      reason: "a lead looks at what is said",
      operation: { kind: "mcp.tools/call", name: "echo" },
    });
    expect(server.called).toEqual([]);
    expect((await bob.say(approval, "approve")).status).toBe(200);
    expect(said(await calling)).toBe("hello");
    expect(server.called).toEqual(["echo"]);
  });

  test("that is denied fails in words its model reads, and never reaches the server", async () => {
    const calling = echo("denied");
    const { approval } = await bob.waiting();
    await bob.say(approval, "deny", "say please");
    const result = await calling;
    expect([result.isError, said(result)]).toEqual([
      true,
      `Refused by the gateway: denied by Bob Baker: say please (${approval})`,
    ]);
    expect(server.called).toEqual([]);
  });

  test("that nobody decides on in time says so; the same call passes once it is approved, and another does not", async () => {
    const result = await echo("later");
    const [, approval = ""] = /pending approval (apr_\w+)/.exec(said(result)) ?? [];
    expect(result.isError).toBe(true);
    expect((await bob.say(approval, "approve")).status).toBe(200);
    const other = echo("later!");
    const { approval: another } = await bob.waiting();
    expect(another).not.toBe(approval);
    await bob.say(another, "deny");
    expect((await other).isError).toBe(true);
    expect(server.called).toEqual([]);
    expect(said(await echo("later"))).toBe("later");
    expect(server.called).toEqual(["echo"]);
    const again = echo("later");
    await bob.say((await bob.waiting()).approval, "deny");
    expect((await again).isError).toBe(true);
    expect(server.called).toEqual(["echo"]);
  });

  test("that its client takes back is void, and an approval comes too late", async () => {
    const controller = new AbortController();
    const calling = echo("taken back", controller.signal).catch((thrown: unknown) => thrown);
    const { approval } = await bob.waiting();
    controller.abort("changed my mind");
    expect(await calling).toBeInstanceOf(Error);
    await until(async () => (await bob.show(approval)).state === "void", "the approval to be void");
    expect((await bob.say(approval, "approve")).status).toBe(409);
    expect(server.called).toEqual([]);
  });

  test("can be waited for by a tool of the gateway's, which is listed where calls are held and reaches no server", async () => {
    const { tools } = await client.listTools();
    expect(tools.at(-1)).toMatchObject({ name: "steno_wait", annotations: { readOnlyHint: true } });
    expect(tools.filter(({ name }) => name === "steno_wait")).toHaveLength(1);
    const first = said(await echo("for long"));
    const approval = /apr_[0-9A-Z]{26}/.exec(first)?.[0] ?? "";
    expect(first).toContain(`or wait for it with steno_wait {"approval": "${approval}"}`);
    const waiting = client.callTool({ name: "steno_wait", arguments: { approval } });
    await bob.say(approval, "approve", "go on");
    expect(said((await waiting) as Result)).toBe(
      "Approved by Bob Baker: go on. Make the held call again now, with the very same arguments.",
    );
    expect(server.called).toEqual([]);
    expect(said(await echo("for long"))).toBe("for long");
    const after = (await client.callTool({ name: "steno_wait", arguments: { approval } })) as Result;
    expect(said(after)).toContain("has been used");
    const other = await connected({}, await oidc.token({ sub: "bob", audience: "steno" }));
    const others = (await other.callTool({ name: "steno_wait", arguments: { approval } })) as Result;
    expect(others).toMatchObject({
      isError: true,
      content: [{ text: "There is no such approval of yours." }],
    });
    await other.close();
    await expect(client.callTool({ name: "steno_wait", arguments: {} })).rejects.toThrow("steno_wait takes");
    expect(server.called).toEqual(["echo"]);
  });

  test("shows where it is decided on to the user of a client that opens addresses", async () => {
    const one = await connected({ elicitation: { url: {} } });
    const thrown = await one
      .callTool({ name: "echo", arguments: { text: "look" } })
      .catch((no: unknown) => no);
    expect(thrown).toBeInstanceOf(UrlElicitationRequiredError);
    if (!(thrown instanceof UrlElicitationRequiredError)) throw thrown;
    const [asked] = thrown.elicitations;
    expect(asked).toMatchObject({
      mode: "url",
      url: `https://console.example/approvals/${asked?.elicitationId}`,
    });
    await bob.say(asked?.elicitationId ?? "", "approve");
    expect(said((await one.callTool({ name: "echo", arguments: { text: "look" } })) as Result)).toBe("look");
    await one.close();
  });

  test("that nothing holds is not delayed", async () => {
    expect((await client.callTool({ name: "progress", arguments: {} })).isError).toBeFalsy();
    expect(server.called).toEqual(["progress"]);
  });
});

function shell(command: string, seconds: number, shim: Shim = "sh"): Promise<Said> {
  const event = { ...CURSOR_EXAMPLES.get("beforeShellExecution"), command };
  return runShim(shim, ["cursor", "beforeShellExecution"], JSON.stringify(event), {
    HOME: node.directory,
    STENO_TOKEN: token,
    STENO_GATEWAY: node.gateway(),
    STENO_HOLD_SECONDS: String(seconds),
  });
}

describe("a command that a hook asks about", () => {
  test("waits longer than one answer does, and may run once it is approved, once", async () => {
    const pending = async () => (await bob.list()).filter(({ state }) => state === "pending");
    const running = SHIMS.map((shim) => shell(`curl https://${shim}.example`, 60, shim));
    await until(async () => (await pending()).length === running.length, "the approvals");
    // One answer has come and gone by then: the shims have asked again.
    await new Promise((resolve) => setTimeout(resolve, (HOLD_SECONDS + 1) * 1000));
    const waiting = await pending();
    expect(waiting).toHaveLength(running.length);
    for (const { approval } of waiting) await bob.say(approval, "approve");
    for (const { code, out } of await Promise.all(running))
      expect([code, JSON.parse(out)]).toEqual([0, { permission: "allow" }]);
    const again = shell("curl https://sh.example", 60);
    await bob.say((await bob.waiting()).approval, "deny", "once");
    expect(JSON.parse((await again).out)).toMatchObject({ permission: "deny" });
  });

  test("is denied when nobody decides for as long as the shim waits", async () => {
    const { code, out } = await shell("curl https://y.example", 0);
    expect([code, JSON.parse(out)]).toEqual([
      0,
      expect.objectContaining({
        permission: "deny",
        user_message: expect.stringContaining("pending approval apr_"),
      }),
    ]);
  });
});

test("all of it is sealed and verifies", async () => {
  // Its stream would be cut with the session, and opened again in another.
  await client.close();
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { code, out } = await node.cli("verify", node.archive);
  expect([code, out]).toEqual([0, expect.stringContaining("VALID COMPLETE")]);
});
