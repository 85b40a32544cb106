// MCP servers that are programs, through a whole node: a child for each session, decided, masked and recorded like any server.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { endSessions } from "#test/support/git-site.ts";
import { until } from "#test/support/servers/children.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const PROGRAM = join(import.meta.dirname, "../support/servers/stdio-mcp.ts");
const SECRET = "the-programs-own-secret";
const POLICY = `
@id("tools") @reason("developers may use it")
permit (principal in Group::"developers", action in Action::"mcp", resource);
@id("no-spawn") @reason("nothing is started here")
forbid (principal, action == Action::"mcp.tools/call", resource in Connection::"closed") when { resource.name == "spawn" };
`;

let oidc: OidcServer;
let node: Node;
let token: string;
const clients: Client[] = [];

beforeAll(async () => {
  oidc = await startOidc();
  const command = [process.execPath, PROGRAM];
  node = await startNode({
    issuer: oidc.issuer,
    connections: [
      {
        ...{ name: "files", kind: "mcp", command, children: 2 },
        environment: { KEY: "env:PROGRAM_KEY", MODE: "plain" },
      },
      { name: "closed", kind: "mcp", command },
      { name: "none", kind: "mcp", command: ["/nowhere/at-all"] },
    ],
    policies: { "mcp.cedar": POLICY },
    env: { PROGRAM_KEY: SECRET, NODE_OWN: "not for programs" },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(async () => {
  await node?.stop();
  await oidc?.stop();
});

async function connected(connection: string): Promise<Client> {
  const client = new Client({ name: "cursor", version: "1.0.0" });
  const url = new URL(`${node.gateway()}/mcp-token/${connection}`);
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(url, { requestInit });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  clients.push(client);
  return client;
}
const said = async (client: Client, name: string, given: Record<string, string> = {}): Promise<string> => {
  const { content } = (await client.callTool({ name, arguments: given })) as {
    readonly content: readonly { readonly text: string }[];
  };
  return content[0]?.text ?? "";
};
const runs = (pid: string): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
const ended = (client: Client) => (client.transport as StreamableHTTPClientTransport).terminateSession();

test("each session has a child of its own, which has what it is given and nothing else", async () => {
  const [one, two] = [await connected("files"), await connected("files")];
  const [first, second] = [await said(one, "pid"), await said(two, "pid")];
  expect(first).not.toBe(second);
  const given = JSON.parse(await said(one, "environment")) as Record<string, string>;
  expect(given).toMatchObject({ KEY: SECRET, MODE: "plain" });
  expect(given).not.toHaveProperty("NODE_OWN");
  expect(Object.keys(given).filter((name) => name.startsWith("STENO"))).toEqual([]);
  expect(await said(one, "echo", { text: "größer\nund weiter" })).toBe("größer\nund weiter");
  const progress: number[] = [];
  const done = await two.callTool({ name: "progress", arguments: {} }, undefined, {
    onprogress: (news) => void progress.push(news.progress),
  });
  expect(done.content).toEqual([{ type: "text", text: "done" }]);
  // No more than may run at once; another may when one has gone.
  await expect(connected("files")).rejects.toThrow("2 of files run already");
  const other = await said(one, "spawn");
  await ended(one);
  await until(() => !runs(first) && !runs(other), "the child and what it started to be gone");
  expect(runs(second)).toBe(true);
  await ended(two);
  await until(() => !runs(second), "the second to be gone");
  expect(await said(await connected("files"), "echo", { text: "again" })).toBe("again");
});

test("a child that dies is answered for, and its session is not there any more", async () => {
  const client = await connected("closed");
  const begun = Promise.withResolvers<void>();
  const onprogress = () => begun.resolve();
  const hanging = client.callTool({ name: "hang", arguments: {} }, undefined, { onprogress });
  await begun.promise;
  const dying = client.callTool({ name: "die", arguments: {} });
  await Promise.all([
    expect(dying).rejects.toThrow("the server closed is gone: it ended with 3"),
    expect(hanging).rejects.toThrow("is gone"),
  ]);
  await expect(client.listTools()).rejects.toThrow(/404|not found/i);
  const killed = await connected("closed");
  const pid = await said(killed, "pid");
  process.kill(Number(pid), "SIGKILL");
  await until(async () => {
    const response = await killed.listTools().catch((thrown: unknown) => String(thrown));
    return typeof response === "string";
  }, "the session to be gone");
  expect(await said(await connected("closed"), "echo", { text: "anew" })).toBe("anew");
});

test("policy decides about it as about any server, and a program that is not there says so", async () => {
  const client = await connected("closed");
  expect(await client.callTool({ name: "spawn", arguments: {} })).toMatchObject({
    isError: true,
    content: [{ text: "Refused by the gateway: nothing is started here" }],
  });
  await expect(connected("none")).rejects.toThrow("the server none is gone");
});

test("steno check starts each once, and says what it offers or why not", async () => {
  const { out } = await node.cli("check");
  expect(out).toContain("program files: starts, and lists 7 tools");
  expect(out).toMatch(/error: program none: does not start: it ended with 127/);
});

test("all of it is sealed and verifies, without the program's secret where it was not said", async () => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  expect(await node.cli("verify", node.archive)).toMatchObject({ code: 0 });
});

test("a node that is killed takes its children, and what they started, with it", async () => {
  const client = await connected("closed");
  const [pid, files] = [await said(client, "pid"), await connected("files")];
  const other = await said(files, "spawn");
  await node.crash();
  await until(() => !runs(pid) && !runs(other), "the children to be gone");
});
