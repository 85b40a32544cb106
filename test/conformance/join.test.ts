// What hooks claim, held against what passes: the agent's shim and the official MCP client, which says no conversation.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Frame } from "#durable/format/frame.ts";
import { endSessions } from "#test/support/git-site.ts";
import { runShim } from "#test/support/hook-shim.ts";
import { readRecording } from "#test/support/recording.ts";
import { type McpTestServer, startMcp } from "#test/support/servers/mcp.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";
import { CURSOR_EXAMPLES } from "#test/unit/hooks/events.ts";

const POLICY = `
@id("developers") @reason("developers work here")
permit (principal in Group::"developers", action, resource);
@id("hooked") @reason("tools are for agents whose hooks speak")
forbid (principal, action == Action::"mcp.tools/call", resource)
when { resource.name == "leak" } unless { context.taints.contains("seen:hooks") };
`;

let oidc: OidcServer;
let server: McpTestServer;
let node: Node;
let token: string;
let client: Client;

beforeAll(async () => {
  [oidc, server] = await Promise.all([startOidc(), startMcp()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [
      { name: "tracker", kind: "mcp", upstream: server.url },
      { name: "cursor", kind: "hooks" },
    ],
    policies: { "all.cedar": POLICY },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  client = new Client({ name: "cursor", version: "1.0.0" });
  const headers = { authorization: `Bearer ${token}` };
  const url = new URL(`${node.gateway()}/mcp-token/tracker`);
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
});
afterAll(async () => {
  await client?.close();
  await node?.stop();
  await server?.stop();
  await oidc?.stop();
});

async function hook(conversation: string, event: string, more: object = {}): Promise<void> {
  const told = { ...CURSOR_EXAMPLES.get(event), ...more, conversation_id: conversation };
  const own = { HOME: node.directory, STENO_TOKEN: token, STENO_GATEWAY: node.gateway() };
  const { code, err } = await runShim("sh", ["cursor", event], JSON.stringify(told), own);
  expect({ code, err }).toEqual({ code: 0, err: "" });
}
const claims = (conversation: string, tool_name: string, given: object) =>
  hook(conversation, "beforeMCPExecution", { tool_name, tool_input: JSON.stringify(given) });
const calls = (name: string, given: Record<string, string>) => client.callTool({ name, arguments: given });
async function sealed(): Promise<ReadonlyMap<string, readonly Frame[]>> {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { sessions } = await readRecording(node.archive);
  return new Map(
    [...sessions.values()].flatMap((frames) => {
      const [first] = frames;
      return first?.k === "session.start" ? [[first.conversation ?? "", frames] as const] : [];
    }),
  );
}
const joins = (frames: readonly Frame[] = []): string[] =>
  frames.flatMap((frame) => (frame.k === "join" ? [frame.found] : []));
const called = (frames: readonly Frame[] = []): number =>
  frames.filter((frame) => frame.k === "request" && frame.operation.kind === "mcp.tools/call").length;

test("calls are led to the conversation that claims them; what is claimed twice, or never comes, is told", async () => {
  // One conversation does what it says, in whichever order its arguments are written.
  await hook("does-it", "sessionStart");
  await claims("does-it", "echo", { text: "one", more: "two" });
  await calls("echo", { more: "two", text: "one" });
  // A tool that policy gives only to agents whose hooks speak: this one's have.
  await claims("does-it", "leak", {});
  expect((await calls("leak", {})).isError).not.toBe(true);
  await hook("does-it", "sessionEnd");
  // Another claims what never comes to the gateway.
  await hook("does-not", "sessionStart");
  await claims("does-not", "echo", { text: "elsewhere" });
  await hook("does-not", "sessionEnd");
  // Two claim the same at once: nobody guesses whose the one call is.
  for (const conversation of ["this", "that"]) {
    await hook(conversation, "sessionStart");
    await claims(conversation, "echo", { text: "same" });
  }
  await calls("echo", { text: "same" });
  // And one that nobody claims.
  expect((await calls("leak", {})).isError).toBe(true);

  const sessions = await sealed();
  expect(joins(sessions.get("does-it"))).toEqual(["match", "match"]);
  expect(called(sessions.get("does-it"))).toBe(2);
  expect(joins(sessions.get("does-not"))).toEqual(["unseen"]);
  for (const conversation of ["this", "that"]) {
    expect(joins(sessions.get(conversation))).toEqual(["unseen"]);
    expect(called(sessions.get(conversation))).toBe(0);
  }
  expect(called(sessions.get(""))).toBe(2);

  const { code, out } = await node.cli("verify", node.archive);
  const lines = out.trim().split("\n");
  expect(lines.slice(0, -1).map((line) => line.split(" ")[0])).toEqual(
    Array.from({ length: 3 }, () => "session_unseen"),
  );
  expect([code, lines.at(-1)?.split(" sessions=")[0]]).toEqual([1, "VALID INCOMPLETE"]);
});
