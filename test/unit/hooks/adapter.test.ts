import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { describe, expect, test } from "vitest";
import type { ConnectionName } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { adapterContract, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { hooksAdapter } from "#workers/adapters/hooks/adapter.ts";
import { CLAUDE_EVENTS } from "#workers/adapters/hooks/agent/claude.ts";
import { CURSOR_EVENTS } from "#workers/adapters/hooks/agent/cursor.ts";
import { misfit, readShapes } from "#workers/policy/question/shape.ts";
import { CLAUDE_EXAMPLES, CURSOR_EXAMPLES } from "./events.ts";

type Agent = "cursor" | "claude";
const connectionOf = (agent: Agent) =>
  ({ name: agent as ConnectionName, kind: "hooks", bodies: "full" }) as const;
const shapes = readShapes(cedar);

const example = (event: object, mark = ""): Example => ({
  name: (event as { hook_event_name?: string }).hook_event_name ?? "no event",
  method: "POST",
  path: "/",
  query: "",
  headers: { "content-type": "application/json" },
  body: new Uint8Array(new TextEncoder().encode(`${mark}${JSON.stringify(event)}`)),
});
const incoming = (event: object, agent: Agent = "cursor", mark = "") =>
  incomingOf(example(event, mark), connectionOf(agent));
const inspect = (event: object, agent: Agent = "cursor", mark = "") =>
  sound(hooksAdapter.inspect(incoming(event, agent, mark)));
const cursor = (name: string, more: object = {}) => ({ ...CURSOR_EXAMPLES.get(name), ...more });
const never = () => Promise.reject(new Error("nothing goes upstream"));

// Of those that say more than how they are answered: the promise is about bodies.
const SOME = [
  "beforeSubmitPrompt",
  "preToolUse",
  "beforeMCPExecution",
  "beforeShellExecution",
  "beforeReadFile",
];
describe("cursor", () =>
  adapterContract(
    hooksAdapter,
    connectionOf("cursor"),
    SOME.map((name) => example(cursor(name))),
  ));
describe("claude", () =>
  adapterContract(hooksAdapter, connectionOf("claude"), [
    example(CLAUDE_EXAMPLES.get("PreToolUse") ?? {}),
    example(CLAUDE_EXAMPLES.get("UserPromptSubmit") ?? {}),
  ]));

test("there is an example of every event that is read", () => {
  expect([...CURSOR_EXAMPLES.keys()].toSorted()).toEqual([...CURSOR_EVENTS].toSorted());
  expect([...CLAUDE_EXAMPLES.keys()].toSorted()).toEqual([...CLAUDE_EVENTS].toSorted());
});

const every = [
  ...[...CURSOR_EXAMPLES].map(([name, event]) => ["cursor", name, event] as const),
  ...[...CLAUDE_EXAMPLES].map(([name, event]) => ["claude", name, event] as const),
];

test.each(every)(
  "%s %s asks policy a question that its schema knows, and its frame has no word of it",
  async (agent, name, event) => {
    const { questions, operation, frames, conversation, follows } = await inspect(event, agent);
    expect(questions).toHaveLength(1);
    for (const question of questions) expect(misfit(shapes, question)).toBeUndefined();
    expect(operation).toMatchObject({ kind: questions[0]?.action, event: name });
    const { conversation_id, session_id } = event as { conversation_id?: string; session_id?: string };
    expect(conversation).toBe(conversation_id ?? session_id);
    expect(follows).toBe(/^sessionEnd$/i.test(name) ? "end" : undefined);
    expect(frames).toMatchObject([{ k: "hook", event: name }]);
    expect(JSON.stringify(frames)).not.toMatch(/Fix it|SECRET|git status|Done\.|bcd/);
  },
);

test.each([
  [
    "cursor",
    "beforeShellExecution",
    { permission: "allow" },
    { permission: "deny", user_message: "No.", agent_message: "No." },
  ],
  [
    "cursor",
    "preToolUse",
    { permission: "allow" },
    { permission: "deny", user_message: "No.", agent_message: "No." },
  ],
  [
    "cursor",
    "beforeMCPExecution",
    { permission: "allow" },
    { permission: "deny", user_message: "No.", agent_message: "No." },
  ],
  [
    "cursor",
    "beforeReadFile",
    { permission: "allow" },
    { permission: "deny", user_message: "No.", agent_message: "No." },
  ],
  [
    "cursor",
    "beforeTabFileRead",
    { permission: "allow" },
    { permission: "deny", user_message: "No.", agent_message: "No." },
  ],
  [
    "cursor",
    "subagentStart",
    { permission: "allow" },
    { permission: "deny", user_message: "No.", agent_message: "No." },
  ],
  ["cursor", "beforeSubmitPrompt", { continue: true }, { continue: false, user_message: "No." }],
  [
    "claude",
    "PreToolUse",
    {},
    {
      hookSpecificOutput: {
        hookEventName: "PreToolUse",
        permissionDecision: "deny",
        permissionDecisionReason: "No.",
      },
    },
  ],
  ["claude", "UserPromptSubmit", {}, { decision: "block", reason: "No." }],
] as const)("%s %s is answered in its own shape, yes and no", async (agent, name, yes, no) => {
  const event = (agent === "cursor" ? CURSOR_EXAMPLES : CLAUDE_EXAMPLES).get(name) ?? {};
  const inspected = await inspect(event, agent);
  const allowed = await hooksAdapter.forward(inspected, never);
  expect([allowed.status, await allowed.json()]).toEqual([200, yes]);
  const denied = hooksAdapter.refuse(
    new Refusal("denied", "No."),
    incoming(event, agent),
    inspected.operation,
  );
  expect([denied.status, await denied.json()]).toEqual([200, no]);
});

test("a no to an event that comes too late for one is a status, and never an answer that looks like a yes", async () => {
  for (const [agent, name, event] of every) {
    const { operation } = await inspect(event, agent);
    const said = hooksAdapter.refuse(
      new Refusal("not_recorded", "No record."),
      incoming(event, agent),
      operation,
    );
    const text = await said.text();
    expect(said.status === 200 ? text : `${said.status}`, name).toMatch(/deny|block|"continue":false|503/);
    expect(text).toContain("No record.");
  }
});

test("a byte order mark before the event does no harm", async () => {
  const { questions } = await inspect(cursor("beforeShellExecution"), "cursor", "\ufeff");
  expect(questions[0]?.context).toMatchObject({ command: "git status", programs: ["git"], parsed: true });
});

test.each([
  ["an event nobody knows", { hook_event_name: "beforeTeleport" }, /beforeTeleport is no hook event/],
  ["no event", { conversation_id: "c" }, /does not say its hook_event_name/],
  [
    "a command that is no text",
    cursor("beforeShellExecution", { command: 7 }),
    /beforeShellExecution .* command/,
  ],
  ["a tool that is known without its path", cursor("preToolUse", { tool_input: {} }), /Write has no path/],
  ["an MCP call whose input is no JSON", cursor("beforeMCPExecution", { tool_input: "{" }), /not JSON/],
  ["an event of the other agent", CLAUDE_EXAMPLES.get("PreToolUse") ?? {}, /PreToolUse is no hook event/],
])("%s is refused, and kept as what was sent", async (_, event, message) => {
  const looked = await hooksAdapter.inspect(incoming(event));
  if (!("flaw" in looked)) throw new Error("it was understood");
  expect(looked.flaw).toMatchObject({ code: "malformed", message: expect.stringMatching(message) });
  expect(looked.body.kind).toBe("whole");
  const said = hooksAdapter.refuse(looked.flaw as Refusal, incoming(event), looked.operation);
  expect(said.status).toBe(400);
});

test.each([
  ["Shell", { command: "rm -rf /" }, "shell.exec", { programs: ["rm"], cwd: "/home/alice/app" }],
  ["Read", { file_path: "../../bob/.ssh/id_rsa" }, "file.read", { paths: ["/home/bob/.ssh/id_rsa"] }],
  ["Grep", { pattern: "x", path: "/home/alice/app/src/../.env" }, "file.read", { paths: [".env"] }],
  ["Delete", { path: "./src/a.ts" }, "file.delete", { paths: ["src/a.ts"] }],
  [
    "Write",
    { file_path: "C:\\x\\..\\app\\.env", content: "é" },
    "file.write",
    { paths: ["C:/app/.env"], size: 2 },
  ],
  ["Task", { subagent_type: "explore" }, "agent.start", { type: "explore" }],
  ["WebFetch", { url: "https://x.example/y" }, "web.fetch", { url: "https://x.example/y" }],
  ["MCP:create", { a: { b: [1, true] } }, "mcp.call", { arguments: ["a.b.0=1", "a.b.1=true"] }],
  ["AskQuestion", { q: "?" }, "tool.use", { arguments: ["q=?"] }],
])("the tool %s is the action it takes", async (tool_name, tool_input, action, context) => {
  const { questions } = await inspect(cursor("preToolUse", { tool_name, tool_input }));
  expect(questions[0]).toMatchObject({ action, context });
  for (const question of questions) expect(misfit(shapes, question)).toBeUndefined();
});

test("Claude Code's MCP tools name their server, and its edits their file", async () => {
  const use = (tool_name: string, tool_input: object) =>
    inspect({ ...CLAUDE_EXAMPLES.get("PreToolUse"), tool_name, tool_input }, "claude");
  const { questions } = await use("mcp__tracker__create_issue", { title: "x" });
  expect(questions[0]).toMatchObject({
    action: "mcp.call",
    resource: { id: "claude/tracker/create_issue", within: { type: "Server", attrs: { name: "tracker" } } },
  });
  const { questions: edit } = await use("Edit", {
    file_path: "/home/alice/app/k.pem",
    old_string: "",
    new_string: "ab",
  });
  expect(edit[0]).toMatchObject({ action: "file.write", context: { paths: ["k.pem"], size: 2 } });
});

test("a command of Windows is not read as Bash, and says so", async () => {
  const event = cursor("beforeShellExecution", { cwd: "C:\\app", workspace_roots: ["C:\\app"] });
  const { questions } = await inspect(event);
  expect(questions[0]?.context).toMatchObject({ parsed: false, inspected: false });
});

test("hooks are posted to their own path, and nowhere else", async () => {
  const at = (method: string, path: string) =>
    hooksAdapter.inspect(
      incomingOf(
        { ...example({}), method, path, ...(method === "GET" && { body: undefined }) },
        connectionOf("cursor"),
      ),
    );
  await expect(at("GET", "/")).rejects.toMatchObject({ code: "unknown_path" });
  await expect(at("POST", "/x")).rejects.toMatchObject({ code: "unknown_path" });
});

test("what an approval is bound to stays the same when the agent asks again, and differs with what it asks", async () => {
  const content = async (more: object) => (await inspect(cursor("preToolUse", more))).content;
  const first = await content({});
  expect(await content({ generation_id: "later", tool_use_id: "other", model: "another" })).toBe(first);
  expect(await content({ tool_input: { file_path: "/home/alice/app/src/a.ts", content: "old" } })).not.toBe(
    first,
  );
  expect(await content({ conversation_id: "another" })).not.toBe(first);
});
