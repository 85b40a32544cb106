/** The agent uses a tool: the official MCP client, told by URL alone to go through the gateway. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Working } from "./agent.ts";

/** Back when the tool has answered. Throws when there is no such tool, or the call fails. */
export async function callTool(
  { gateway, token, conversation, say }: Working,
  name: string,
  given: Readonly<Record<string, string>>,
): Promise<void> {
  const client = new Client({ name: "cursor", version: "1.0.0" });
  const headers = { authorization: `Bearer ${token}`, "steno-conversation": conversation };
  const url = new URL(`${gateway}/mcp-token/tracker`);
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  try {
    const { tools } = await client.listTools();
    if (!tools.some((tool) => tool.name === name)) throw new Error(`the MCP server has no tool ${name}`);
    say(`@ ${name} ${JSON.stringify(given)}`);
    const { content, isError } = await client.callTool({ name, arguments: given });
    const [said] = content as readonly { readonly text?: string }[];
    if (isError === true) throw new Error(`${name} failed: ${said?.text}`);
    say(`   ${said?.text}`);
  } finally {
    await client.close();
  }
}
