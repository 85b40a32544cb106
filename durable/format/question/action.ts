/** Every action policy can be asked about, and the type of what it is about. The policy schema has the same, in Cedar's words. */

export type ResourceType =
  | "Connection"
  | "Repository"
  | "Ref"
  | "Path"
  | "Server"
  | "Tool"
  | "Resource"
  | "Prompt"
  | "Model"
  | "Host";

/** What each type lies directly within: one of these. A connection lies in nothing. */
export const WITHIN: Readonly<Record<ResourceType, readonly ResourceType[]>> = {
  Connection: [],
  Repository: ["Connection"],
  Ref: ["Repository"],
  Path: ["Connection"],
  Server: ["Connection"],
  Tool: ["Server", "Connection"],
  Resource: ["Server"],
  Prompt: ["Server"],
  Model: ["Connection"],
  Host: ["Connection"],
};

export const ACTIONS = {
  "git.refs": "Repository",
  "git.fetch": "Repository",
  "git.push": "Ref",
  "git.create": "Ref",
  "git.delete": "Ref",
  "git.force": "Ref",
  "git.lfs/download": "Repository",
  "git.lfs/upload": "Repository",
  "git.lfs/locks": "Repository",

  "mcp.initialize": "Server",
  "mcp.server/discover": "Server",
  "mcp.ping": "Server",
  "mcp.stream": "Server",
  "mcp.end": "Server",
  "mcp.tools/list": "Server",
  "mcp.resources/list": "Server",
  "mcp.resources/templates/list": "Server",
  "mcp.prompts/list": "Server",
  "mcp.tools/call": "Tool",
  "mcp.resources/read": "Resource",
  "mcp.resources/subscribe": "Resource",
  "mcp.resources/unsubscribe": "Resource",
  "mcp.prompts/get": "Prompt",
  "mcp.completion/complete": "Server",
  "mcp.logging/setLevel": "Server",
  "mcp.tasks": "Server",
  "mcp.notification": "Server",
  "mcp.reply": "Server",
  "mcp.other": "Server",

  "llm.chat": "Model",
  "llm.count": "Model",
  "llm.models": "Connection",

  "http.request": "Host",

  "shell.exec": "Connection",
  "file.read": "Path",
  "file.write": "Path",
  "file.delete": "Path",
  "mcp.call": "Tool",
  "tool.use": "Tool",
  "web.fetch": "Host",
  "agent.start": "Connection",
  "prompt.submit": "Connection",

  "session.start": "Connection",
  "session.end": "Connection",
  "shell.result": "Connection",
  "file.edited": "Path",
  "mcp.result": "Tool",
  "tool.result": "Tool",
  "agent.response": "Connection",
  "agent.thought": "Connection",
  "agent.stop": "Connection",
  "agent.compact": "Connection",
} as const satisfies Readonly<Record<string, ResourceType>>;

export type Action = keyof typeof ACTIONS;
