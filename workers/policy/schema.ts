/**
 * What policies may speak of, as a Cedar schema. A policy that names anything else does not load, and a question
 * that carries anything else is denied: both sides of the gate are held to this text.
 */

/** What every question carries. Without a value the sets are empty, severity is 0 and inspected is false. */
const EVERY = `now: Now, client: String, taints: Set<String>, findings: Set<String>, severity: Long, inspected: Bool,
             paths: Set<String>, touches: Set<String>, tops: Set<String>, size?: Long`;

const action = (
  names: readonly string[],
  groups: readonly string[],
  resource: string,
  context = "",
): string =>
  `action ${quoted(names)} in [${quoted(groups)}] appliesTo {
  principal: User, resource: ${resource},
  context: { ${context === "" ? "" : `${context},\n             `}${EVERY} }
};
`;

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

const ENTITIES = `// Principals. Group names are those of the identity provider's groups claim.
entity Group;
entity Agent;

// A person, or a program that signs in for itself: User::"<issuer>|<subject>".
// An agent acting for a person stays that person's User, with \`agent\` set. Display names are left out: names change.
entity User in [Group] { issuer: String, subject: String, agent?: Agent };

// Resources, each in its connection: Connection::"payments", Repository::"payments/team/app",
// Ref::"payments/team/app/refs/heads/main", Server::"tools", Tool::"tools/create_issue".
entity Connection { kind: String };
entity Repository in [Connection] { path: String };
entity Ref in [Repository] { name: String };
entity Path in [Connection] { name: String };
entity Server in [Connection] { name: String, url?: String, command?: String };
entity Tool in [Server, Connection] { name: String };
entity Resource in [Server] { uri: String };
entity Prompt in [Server] { name: String };
entity Model in [Connection] { name: String, provider: String };
entity Host in [Connection] { name: String };

// UTC. \`weekday\` is 1 on Monday and 7 on Sunday.
type Now = { day: __cedar::datetime, hour: Long, weekday: Long };

action "git", "mcp", "llm", "http", "hooks";
action "git.read", "git.write" in ["git"];
action "mcp.list" in ["mcp"];
action "hooks.seen" in ["hooks"];
`;

const GIT = [
  action(["git.refs"], ["git.read"], "Repository", "service: String, version?: Long"),
  action(
    ["git.fetch"],
    ["git.read"],
    "Repository",
    `version: Long, haves: Long, wants: Long, wantRefs: Set<String>, capabilities: Set<String>,
             depth?: String, filter?: String`,
  ),
  // One question for each ref of a push, by what happens to that ref: moved forward, made, removed, or rewritten.
  // `refs` is how many refs the push is about.
  action(
    ["git.push", "git.create", "git.delete", "git.force"],
    ["git.write"],
    "Ref",
    `old: String, new: String, change: String, atomic: Bool, refs: Long, options: Set<String>,
             capabilities: Set<String>, commits?: Long, unsigned?: Long, authors?: Set<String>,
             committers?: Set<String>, files?: Long, largest?: Long, changes?: Set<String>, modes?: Set<String>,
             odd?: Set<String>`,
  ),
  action(["git.lfs/download"], ["git.read"], "Repository", "objects: Long"),
  action(["git.lfs/upload"], ["git.write"], "Repository", "objects: Long, largest: Long"),
  action(["git.lfs/locks"], ["git.write"], "Repository", "method: String"),
];

const MCP = [
  action(
    [
      "mcp.initialize",
      "mcp.server/discover",
      "mcp.ping",
      "mcp.tools/list",
      "mcp.resources/list",
      "mcp.resources/templates/list",
      "mcp.prompts/list",
    ],
    ["mcp.list"],
    "Server",
    "version?: String",
  ),
  action(
    [
      "mcp.stream",
      "mcp.end",
      "mcp.completion/complete",
      "mcp.logging/setLevel",
      "mcp.tasks",
      "mcp.notification",
      "mcp.reply",
      "mcp.other",
    ],
    ["mcp"],
    "Server",
    "method: String, version?: String",
  ),
  // `arguments` are the scalars of the arguments as `path.to.it=value`; `changed`: not the definition that was pinned.
  action(
    ["mcp.tools/call"],
    ["mcp"],
    "Tool",
    `arguments: Set<String>, changed: Bool, version?: String, readOnly?: Bool, destructive?: Bool,
             openWorld?: Bool`,
  ),
  action(
    ["mcp.resources/read", "mcp.resources/subscribe", "mcp.resources/unsubscribe"],
    ["mcp"],
    "Resource",
    "version?: String",
  ),
  action(["mcp.prompts/get"], ["mcp"], "Prompt", "arguments: Set<String>, version?: String"),
];

const LLM = [
  action(
    ["llm.chat", "llm.count"],
    ["llm"],
    "Model",
    "api: String, messages: Long, tools: Set<String>, stream: Bool, tokens?: Long",
  ),
  action(["llm.models"], ["llm"], "Connection", "api: String"),
];

const HTTP = [
  action(
    ["http.request"],
    ["http"],
    "Host",
    "method: String, path: String, parameters: Set<String>, type?: String, upgrade?: String",
  ),
];

const HOOKS = [
  // A command line as the shell would cut it: `programs` it runs, all `words`, files it `writes` by redirection,
  // `hosts` it names; `parsed` is false where that could not be told.
  action(
    ["shell.exec"],
    ["hooks"],
    "Connection",
    `command: String, parsed: Bool, programs: Set<String>, words: Set<String>, writes: Set<String>,
             hosts: Set<String>, cwd: String, sandbox?: Bool, model?: String`,
  ),
  action(["file.read", "file.write", "file.delete"], ["hooks"], "Path", "tool: String, model?: String"),
  action(["mcp.call"], ["hooks"], "Tool", "arguments: Set<String>, model?: String"),
  action(["tool.use"], ["hooks"], "Tool", "arguments: Set<String>, model?: String"),
  action(["web.fetch"], ["hooks"], "Host", "url: String, model?: String"),
  action(["agent.start"], ["hooks"], "Connection", "type: String, model?: String"),
  action(["prompt.submit"], ["hooks"], "Connection", "attachments: Long, model?: String"),
  // Told afterwards: a no cannot undo these. They are asked so that `@mask` and taints reach them.
  action(
    [
      "session.start",
      "session.end",
      "shell.result",
      "agent.response",
      "agent.thought",
      "agent.stop",
      "agent.compact",
    ],
    ["hooks.seen"],
    "Connection",
    "model?: String",
  ),
  action(["file.edited"], ["hooks.seen"], "Path", "tool: String, model?: String"),
  action(["mcp.result", "tool.result"], ["hooks.seen"], "Tool", "model?: String"),
];

export const SCHEMA = [ENTITIES, ...GIT, ...MCP, ...LLM, ...HTTP, ...HOOKS].join("\n");
