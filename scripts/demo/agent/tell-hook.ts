/** The agent's hooks, as Cursor runs them: the command of hooks.json, with the event on its standard input. */
import { tryRun } from "../program.ts";
import type { Working } from "./agent.ts";
import { childrenOf, hookOf } from "./set-up.ts";

type Reply = { readonly permission?: string; readonly user_message?: string };

/** What the gateway says to an event. Throws when it says nothing. */
export async function tellHook(
  { directory, conversation }: Working,
  event: string,
  more: object,
): Promise<Reply> {
  const common = { conversation_id: conversation, hook_event_name: event, workspace_roots: [directory] };
  const input = JSON.stringify({ ...common, ...more });
  const env = childrenOf(directory, conversation);
  const ran = await tryRun("/bin/sh", ["-c", hookOf(directory, event)], { env, cwd: directory, input });
  const { code, out, err } = ran;
  if (code !== 0) throw new Error(`the hook ${event} ended with ${code}: ${err.trim()}`);
  return JSON.parse(out) as Reply;
}
