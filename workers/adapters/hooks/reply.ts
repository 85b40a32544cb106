/** What an agent is answered, in the shape that its event asks for. */

export type Agent = "cursor" | "claude";

const PERMISSION: ReadonlySet<string> = new Set([
  "preToolUse",
  "beforeShellExecution",
  "beforeMCPExecution",
  "beforeReadFile",
  "beforeTabFileRead",
  "subagentStart",
]);

/**
 * Yes. `ask` is never said: Cursor does not enforce it. Claude Code, whose events have other names, is told nothing, since
 * its `allow` would pass over what its own settings ask the person.
 */
export function consent(event: string): object {
  if (PERMISSION.has(event)) return { permission: "allow" };
  return event === "beforeSubmitPrompt" ? { continue: true } : {};
}

/** No; undefined where the event comes too late for one. */
export function denial(agent: Agent, event: string, reason: string): object | undefined {
  if (agent === "claude") {
    if (event === "PreToolUse")
      return {
        hookSpecificOutput: {
          hookEventName: event,
          permissionDecision: "deny",
          permissionDecisionReason: reason,
        },
      };
    return event === "UserPromptSubmit" ? { decision: "block", reason } : undefined;
  }
  // Some of Cursor's programs read only one of the two messages.
  if (PERMISSION.has(event)) return { permission: "deny", user_message: reason, agent_message: reason };
  return event === "beforeSubmitPrompt" ? { continue: false, user_message: reason } : undefined;
}
