/** One example of every hook event, as its agent's documentation shows it. */
const common = {
  conversation_id: "c0ffee00-1111-4222-8333-444455556666",
  generation_id: "9d5a0d3e-0000-4000-8000-000000000001",
  model: "claude-4.5-sonnet",
  cursor_version: "3.20.17",
  workspace_roots: ["/home/alice/app"],
  user_email: "alice@corp.example",
  transcript_path: null,
};
const tool = { tool_use_id: "tool_1\nfc_2", cwd: "/home/alice/app", agent_message: "I will do it" };
const edits = [{ old_string: "a", new_string: "bcd" }];
const mcp = {
  tool_name: "create_issue",
  tool_input: '{"title":"x","labels":["bug"]}',
  mcp_server_name: "tracker",
};

const CURSOR = {
  sessionStart: { session_id: common.conversation_id, is_background_agent: false, composer_mode: "agent" },
  sessionEnd: {
    session_id: common.conversation_id,
    reason: "completed",
    duration_ms: 9000,
    final_status: "ok",
  },
  beforeSubmitPrompt: {
    prompt: "Fix it",
    attachments: [{ type: "file", file_path: "/home/alice/app/src/a.ts" }],
  },
  preToolUse: {
    ...tool,
    tool_name: "Write",
    tool_input: { file_path: "/home/alice/app/src/a.ts", content: "new" },
  },
  postToolUse: {
    ...tool,
    tool_name: "Read",
    tool_input: { file_path: "a" },
    tool_output: '{"ok":1}',
    duration: 5,
  },
  postToolUseFailure: {
    ...tool,
    tool_name: "MCP:create_issue",
    tool_input: {},
    error_message: "timed out",
    failure_type: "timeout",
    is_interrupt: false,
  },
  beforeShellExecution: { command: "git status", cwd: "/home/alice/app", sandbox: false },
  afterShellExecution: { command: "git status", output: "clean", duration: 12, sandbox: false },
  beforeMCPExecution: { ...mcp, url: "https://mcp.internal", mcp_server_url: "https://mcp.internal" },
  afterMCPExecution: { ...mcp, result_json: '{"content":[]}', duration: 10 },
  beforeReadFile: { file_path: "/home/alice/app/.env", content: "SECRET=1", attachments: [] },
  afterFileEdit: { file_path: "/home/alice/app/src/a.ts", edits },
  subagentStart: {
    subagent_id: "s1",
    subagent_type: "explore",
    task: "look",
    tool_call_id: "t",
    is_parallel_worker: false,
  },
  subagentStop: { status: "completed", task: "look", summary: "found", duration_ms: 5, modified_files: [] },
  preCompact: { trigger: "auto", context_usage_percent: 90, context_tokens: 180_000 },
  afterAgentResponse: { text: "Done." },
  afterAgentThought: { text: "Hm.", duration_ms: 4 },
  stop: { status: "completed", loop_count: 0 },
  beforeTabFileRead: { file_path: "/etc/hosts", content: "x" },
  afterTabFileEdit: {
    file_path: "/home/alice/app/b.ts",
    edits: edits.map((edit) => ({ ...edit, range: {}, old_line: "a" })),
  },
  workspaceOpen: { conversation_id: undefined, generation_id: undefined, roots: ["/home/alice/app"] },
} as const;

const claude = {
  session_id: "5e551017-1111-4222-8333-444455556666",
  prompt_id: "p1",
  transcript_path: "/home/alice/.claude/t.jsonl",
  cwd: "/home/alice/app",
  permission_mode: "default",
};
const CLAUDE = {
  SessionStart: { source: "startup" },
  SessionEnd: { reason: "exit" },
  UserPromptSubmit: { prompt: "Fix it" },
  PreToolUse: { tool_name: "Bash", tool_input: { command: "git status" }, tool_use_id: "toolu_1" },
  PostToolUse: {
    tool_name: "Edit",
    tool_input: { file_path: "/home/alice/app/a.ts", old_string: "a", new_string: "bc" },
    tool_response: { success: true },
    tool_use_id: "toolu_2",
  },
  PostToolUseFailure: {
    tool_name: "Bash",
    tool_input: { command: "x" },
    error: "no",
    tool_use_id: "toolu_3",
  },
  Stop: { stop_hook_active: false },
  SubagentStop: { stop_hook_active: false },
  PreCompact: { trigger: "manual", custom_instructions: "" },
} as const;

type Event = Readonly<Record<string, unknown>>;

const whole = (more: object, events: Readonly<Record<string, object>>): ReadonlyMap<string, Event> =>
  new Map(Object.entries(events).map(([name, own]) => [name, { ...more, hook_event_name: name, ...own }]));

export const CURSOR_EXAMPLES = whole(common, CURSOR);
export const CLAUDE_EXAMPLES = whole(claude, CLAUDE);
