/** What the agent asked for, decoded: one arm per kind and action. This is what frames and policies speak of. */
export type GitService = "git-upload-pack" | "git-receive-pack";

/** Object ids are lower-case hex, 40 (SHA-1) or 64 (SHA-256) letters; all zeros means "no object". */
export type RefUpdate = {
  readonly ref: string;
  readonly old: string;
  readonly new: string;
  /** What the update does. `force` also when the pack does not prove that `old` is an ancestor of `new`. */
  readonly change: "create" | "update" | "delete" | "force";
};

export type GitRefs = {
  readonly kind: "git.refs";
  readonly repository: string;
  readonly service: GitService;
  readonly version: 0 | 1 | 2;
  /** Protocol v2 `ls-refs` only. */
  readonly prefixes?: readonly string[];
  /** How many prefixes a frame left out to fit into its line; the recorded body has them all. */
  readonly omitted?: number;
};

export type GitFetch = {
  readonly kind: "git.fetch";
  readonly repository: string;
  readonly version: 0 | 1 | 2;
  readonly wants: readonly string[];
  readonly wantRefs: readonly string[];
  /** How many `have` lines there were; the lines themselves are in the body. */
  readonly haves: number;
  readonly depth?: string;
  /** Set when the client's own history is shallow, which the server then speaks of first. */
  readonly shallow?: true;
  readonly filter?: string;
  readonly done: boolean;
  readonly capabilities: readonly string[];
  /** How many wants, refs wanted and capabilities a frame left out to fit into its line; the recorded body has them all. */
  readonly omitted?: number;
};

export type GitPush = {
  readonly kind: "git.push";
  readonly repository: string;
  readonly updates: readonly RefUpdate[];
  readonly capabilities: readonly string[];
  readonly options: readonly string[];
  readonly atomic: boolean;
  /** How many updates and options a frame left out to fit into its line; the `git` frames have every update. */
  readonly omitted?: number;
};

/** The empty push git sends first to see whether it may: four bytes `0000`. Nothing can change by it. */
export type GitProbe = {
  readonly kind: "git.probe";
  readonly repository: string;
  readonly service: GitService;
};

/** A request that could not be decoded, or that was refused before anybody looked into it. */
export type Unknown = { readonly kind: "unknown" };

export type LfsObject = {
  /** SHA-256 of the content, lower-case hex. */
  readonly oid: string;
  readonly size: number;
};

/** Git LFS: `batch` asks where objects are, `object` moves one, `verify` asks whether an uploaded one arrived. */
export type GitLfsTransfer = {
  readonly kind: "git.lfs/download" | "git.lfs/upload";
  readonly repository: string;
  readonly step: "batch" | "object" | "verify";
  readonly objects: readonly LfsObject[];
  /** What the objects are for, where the client says it. */
  readonly ref?: string;
  /** How many objects a frame left out to fit into its line; the recorded body has them all. */
  readonly omitted?: number;
};

export type GitLfsLocks = {
  readonly kind: "git.lfs/locks";
  readonly repository: string;
  readonly method: "list" | "verify" | "create" | "unlock";
  /** Of the file, as the client gave it. */
  readonly path?: string;
  /** Of the lock. */
  readonly id?: string;
  readonly force?: boolean;
};

export type GitOperation = GitRefs | GitFetch | GitPush | GitProbe | GitLfsTransfer | GitLfsLocks;

export type HttpRequest = {
  readonly kind: "http.request";
  readonly method: string;
  /** Below the connection, percent-encoded, every octet that needs no encoding decoded: one spelling for one path. */
  readonly path: string;
  /** Names of the query's parameters, decoded, in order, each once; their values are in the request frame's path. */
  readonly query: readonly string[];
  /** Set when the connection becomes a WebSocket. */
  readonly upgrade?: "websocket";
  /** How many query names a frame left out to fit into its line. */
  readonly omitted?: number;
};

export type LlmApi = "anthropic.messages" | "openai.chat" | "openai.responses" | "gemini.generate";
export type LlmChat = {
  readonly kind: "llm.chat";
  readonly api: LlmApi;
  readonly model: string;
  readonly stream: boolean;
  /** How many messages there are, those of the system among them; the `llm` frame says what they consist of. */
  readonly messages: number;
  /** Names of the tools the model may call. */
  readonly tools: readonly string[];
  /** The most tokens it may answer with. */
  readonly tokens?: number;
  /** How many names of tools a frame left out to fit into its line; the recorded body has them all. */
  readonly omitted?: number;
};
/** How many tokens a request would have: the same content as a chat, and no answer of a model. */
export type LlmCount = Omit<LlmChat, "kind" | "stream"> & { readonly kind: "llm.count" };
export type LlmModels = { readonly kind: "llm.models"; readonly provider: string; readonly model?: string };
export type LlmOperation = LlmChat | LlmCount | LlmModels;

/** One message, by what it consists of: sizes in bytes, never the text. */
export type LlmMessage = { readonly role: string; readonly parts: readonly LlmPart[] };
/** `name` and `id` are those of a tool call or its result. */
export type LlmPart = {
  readonly type: string;
  readonly size: number;
  readonly name?: string;
  readonly id?: string;
};

/** Tokens as the provider counts them. */
export type LlmUsage = { readonly input?: number; readonly output?: number; readonly cached?: number };
/** `size` is that of the arguments, in bytes. */
export type LlmCall = { readonly id: string; readonly name: string; readonly size: number };

/** What an agent tells by its hooks before it does something (a no stops it), or when it has been done. */
export type HookAction =
  | "shell.exec"
  | "file.read"
  | "file.write"
  | "file.delete"
  | "mcp.call"
  | "tool.use"
  | "web.fetch"
  | "agent.start"
  | "prompt.submit"
  | "session.start"
  | "session.end"
  | "shell.result"
  | "file.edited"
  | "mcp.result"
  | "tool.result"
  | "agent.response"
  | "agent.thought"
  | "agent.stop"
  | "agent.compact";
export type HookOperation = {
  readonly kind: HookAction;
  /** As the agent names it: `beforeShellExecution`, `PreToolUse`. */
  readonly event: string;
  /** What it is about, cut to a line's worth: programs, a path, a tool, a host. The recorded body has all of it. */
  readonly about?: string;
};

/** One JSON-RPC message. A request has id and method, a notification a method, a reply an id and maybe an error. */
export type McpMessage = {
  readonly id?: string | number;
  readonly method?: string;
  /** Tool, prompt or resource. */
  readonly name?: string;
  /** JSON-RPC's code of an error. */
  readonly error?: number;
  /** Of a tool's result: that it says it failed. */
  readonly failed?: true;
  /** Bytes of params, result or error. */
  readonly size: number;
};

/** A message of MCP. `kind` is the policy's action for its method; `stream` and `end` are GET and DELETE of the session. */
export type McpOperation = {
  readonly kind: McpAction;
  /** As in the message; empty for a reply, a stream and an end. */
  readonly method: string;
  /** Of a request: what its answer refers to. */
  readonly id?: string | number;
  /** The tool, prompt or resource it is about, as its server names it. */
  readonly name?: string;
  /** What the agent calls the tool, where that is another name. */
  readonly as?: string;
  /** Set when the tool's definition is not the one that is pinned; a `definition` frame says how it differs. */
  readonly changed?: true;
  /** Revision of the protocol, from `MCP-Protocol-Version`. */
  readonly version?: string;
};
export type McpAction =
  | "mcp.initialize"
  | "mcp.server/discover"
  | "mcp.ping"
  | "mcp.tools/list"
  | "mcp.resources/list"
  | "mcp.resources/templates/list"
  | "mcp.prompts/list"
  | "mcp.tools/call"
  | "mcp.resources/read"
  | "mcp.resources/subscribe"
  | "mcp.resources/unsubscribe"
  | "mcp.prompts/get"
  | "mcp.completion/complete"
  | "mcp.logging/setLevel"
  | "mcp.tasks"
  | "mcp.notification"
  | "mcp.reply"
  | "mcp.stream"
  | "mcp.end"
  | "mcp.other";

export type Operation = GitOperation | HttpRequest | LlmOperation | McpOperation | HookOperation | Unknown;
