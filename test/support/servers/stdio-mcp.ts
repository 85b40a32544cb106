// An MCP server over stdio by the official SDK: says who it is, what it was given, and ends as it is told.
import { spawn } from "node:child_process";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const text = (said: string) => ({ content: [{ type: "text" as const, text: said }] });
const server = new McpServer({ name: "stdio", version: "1.0.0" });
server.registerTool("pid", { description: "Which child it is" }, () => text(String(process.pid)));
server.registerTool("environment", { description: "What it was given" }, () =>
  text(JSON.stringify(process.env)),
);
server.registerTool("echo", { description: "Again", inputSchema: { text: z.string() } }, ({ text: said }) =>
  text(said),
);
server.registerTool(
  "hang",
  { description: "Begins, and never answers" },
  async ({ sendNotification, _meta }) => {
    const progressToken = _meta?.progressToken ?? 0;
    await sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1 } });
    return new Promise<never>(() => undefined);
  },
);
server.registerTool("spawn", { description: "Starts another" }, () => {
  const { pid } = spawn("sleep", ["600"], { stdio: "ignore" });
  return text(String(pid));
});
server.registerTool("die", { description: "Ends" }, () => process.exit(3));
server.registerTool("progress", { description: "Takes its time" }, async ({ sendNotification, _meta }) => {
  const progressToken = _meta?.progressToken ?? 0;
  await sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1 } });
  return text("done");
});
process.stderr.write("a word for people\n");
await server.connect(new StdioServerTransport());
