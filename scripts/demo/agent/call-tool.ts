/** The agent uses a tool: the official MCP client, with the server that mcp.json names. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { Working } from "./agent.ts";
import { childrenOf, serverOf } from "./set-up.ts";

/** Back when the tool has answered. Throws when there is no such tool, or the call fails. */
export async function callTool(
  { directory, conversation, say }: Working,
  name: string,
  given: Readonly<Record<string, string>>,
): Promise<void> {
  const client = new Client({ name: "cursor", version: "1.0.0" });
  const { command, args } = serverOf(directory, "tracker");
  const env = childrenOf(directory, conversation) as Record<string, string>;
  const transport = new StdioClientTransport({ command, args: [...args], env, cwd: directory });
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
