/** The agent's hooks, as Cursor runs them: the shim, with the event on its standard input. */
import { join } from "node:path";
import { ROOT } from "#scripts/build.ts";
import { tryRun } from "../program.ts";
import type { Working } from "./agent.ts";

const SHIM = join(ROOT, "scripts/hook/shim.sh");

type Reply = { readonly permission?: string; readonly user_message?: string };

/** What the gateway says to an event. Throws when it says nothing. */
export async function tellHook(
  { directory, gateway, token, conversation }: Working,
  event: string,
  more: object,
): Promise<Reply> {
  const env = {
    PATH: process.env["PATH"],
    HOME: directory,
    STENO_TOKEN: token,
    STENO_GATEWAY: gateway,
  };
  const common = { conversation_id: conversation, hook_event_name: event, workspace_roots: [directory] };
  const input = JSON.stringify({ ...common, ...more });
  const { code, out, err } = await tryRun(SHIM, ["cursor", event], { env, cwd: directory, input });
  if (code !== 0) throw new Error(`the hook ${event} ended with ${code}: ${err.trim()}`);
  return JSON.parse(out) as Reply;
}
