/** The agent's machine, told once to go through the gateway: by `steno setup cursor`, and by nothing else. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "#scripts/build.ts";
import { gitEnvironment, run } from "../program.ts";
import type { AgentOptions } from "./agent.ts";

const STENO = join(ROOT, "scripts/steno.mjs");

/** What Cursor gives the programs that it starts for a conversation. */
export function childrenOf(directory: string, conversation: string): NodeJS.ProcessEnv {
  const kept = Object.entries(gitEnvironment(directory, join(directory, ".gitconfig")));
  return {
    ...Object.fromEntries(
      kept.filter(([name]) => !/^(STENO_|XDG_CONFIG_HOME$|APPDATA$|CLAUDECODE$)/.test(name)),
    ),
    CURSOR_CONVERSATION_ID: conversation,
    CURSOR_VERSION: "3.20.17",
  };
}

/** A person keeps their token, and points Cursor at the gateway. */
export async function setUp({ directory, gateway, token, say }: AgentOptions): Promise<void> {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, ".gitconfig"), "[user]\n\tname = Cursor\n\temail = cursor@example.test\n");
  const env = childrenOf(directory, "");
  const steno = async (words: string, input?: string) => {
    say(`$ steno ${words}`);
    await run(process.execPath, [STENO, ...words.split(" ")], {
      cwd: directory,
      env,
      ...(input !== undefined && { input }),
    });
  };
  await steno("token keep", `${token}\n`);
  await steno(`setup cursor --gateway ${gateway} --mcp stdio`);
}

type Hooks = { readonly hooks: Readonly<Record<string, readonly { readonly command: string }[]>> };
type Server = { readonly command: string; readonly args: readonly string[] };

/** The command of an event's hook, as Cursor finds it. */
export function hookOf(directory: string, event: string): string {
  const { hooks } = JSON.parse(readFileSync(join(directory, ".cursor/hooks.json"), "utf8")) as Hooks;
  const [first] = hooks[event] ?? [];
  if (!first) throw new Error(`hooks.json has no ${event}`);
  return first.command;
}

/** The program that is an MCP server, as Cursor finds it. */
export function serverOf(directory: string, name: string): Server {
  const text = readFileSync(join(directory, ".cursor/mcp.json"), "utf8");
  const { mcpServers } = JSON.parse(text) as { readonly mcpServers: Readonly<Record<string, Server>> };
  const server = mcpServers[name];
  if (!server) throw new Error(`mcp.json has no ${name}`);
  return server;
}
