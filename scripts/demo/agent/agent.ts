/** The coding agent of the demo: stock clients, pointed at the gateway by `steno setup cursor`; one conversation. */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lead } from "../lead.ts";
import { run, tryRun } from "../program.ts";
import { askModel } from "./ask-model.ts";
import { callTool } from "./call-tool.ts";
import { childrenOf, setUp } from "./set-up.ts";
import { tellHook } from "./tell-hook.ts";

export interface AgentOptions {
  readonly directory: string;
  readonly gateway: string;
  /** As the agent knows it: git is told that the gateway stands for it. */
  readonly upstream: string;
  readonly token: string;
  /** What the model would say, and the agent must not hear. */
  readonly secret: string;
  /** Who decides on what waits. */
  readonly lead: Lead;
  /** Hears of every command, and of what was refused in git's own words. */
  readonly say: (line: string) => void;
}

/** As the agent's clients see it: which conversation they are part of. */
export type Working = Pick<AgentOptions, "directory" | "gateway" | "token" | "say"> & {
  readonly conversation: string;
};

const SEAL_MS = 60_000;

/** What is said of a session by the API; there is more in it. */
export type Told = { readonly session: string; readonly status: string; readonly root?: string };

const RELEASE = ["push", "origin", "HEAD:refs/heads/release/1.0"] as const;
const NEXT = ["push", "origin", "HEAD:refs/heads/release/2.0"] as const;

/** Works in a session that begins and ends with the conversation; back with its id when it is over. Throws when anything goes otherwise. */
export async function agentSession(options: AgentOptions): Promise<string> {
  const working: Working = { ...options, conversation: randomUUID() };
  await setUp(options);
  const git = terminal(options, working);
  const work = join(options.directory, "app");
  const { say, lead } = options;
  await tellHook(working, "sessionStart", { session_id: working.conversation });
  const prompt = "Greet people, and tell me how we deploy.";
  say(`> ${prompt}`);
  await tellHook(working, "beforeSubmitPrompt", { prompt, attachments: [] });
  await askModel(working, options.secret);
  const issue = { words: "greet people" };
  await tellHook(working, "beforeMCPExecution", {
    tool_name: "find_issue",
    tool_input: JSON.stringify(issue),
  });
  await callTool(working, "find_issue", issue);
  await git(options.directory, "clone", `${options.upstream}/team/app.git`);
  await readNot(working, join(work, ".env"));
  writeFileSync(join(work, "greeting.txt"), "hello\n");
  await git(work, "add", "greeting.txt");
  await git(work, "commit", "-q", "-m", "Greet people");
  await git.refused(work, "main changes by review only", "push", "origin", "main");
  await git(work, "checkout", "-q", "-b", "agent/greeting");
  await git(work, "push", "origin", "agent/greeting");
  await Promise.all([git(work, ...RELEASE), lead.decide("approve", "tested by hand")]);
  await Promise.all([
    git.refused(work, "denied by Bob", ...NEXT),
    lead.decide("deny", "not before the fair"),
  ]);
  await git(work, "commit", "-q", "--amend", "-m", "Greet everybody");
  await git.refused(work, "force pushes are forbidden", "push", "--force", "origin", "agent/greeting");
  const [own, ...others] = await sessions(options);
  if (!own || others.length > 0) throw new Error("the conversation was to be one session");
  await tellHook(working, "sessionEnd", { session_id: working.conversation, reason: "completed" });
  return own.session;
}

/** The hook asks before a file is read; this one must not be. */
async function readNot(working: Working, path: string): Promise<void> {
  working.say(`? read ${path.slice(working.directory.length + 1)}`);
  const { permission, user_message } = await tellHook(working, "beforeReadFile", {
    file_path: path,
    content: "",
  });
  if (permission !== "deny") throw new Error(`reading ${path} was to be denied`);
  working.say(`   ${user_message}`);
}

/** Waits until the archive has the seal, and gives what the gateway says of the session then. */
export async function untilSealed(options: AgentOptions, session: string): Promise<Told> {
  for (const end = Date.now() + SEAL_MS; ; await sleep(50)) {
    const told = (await api(options, `/${session}`)) as Told;
    if (told.status === "sealed") return told;
    if (Date.now() > end) throw new Error(`${session} is still ${told.status} after ${SEAL_MS / 1000} s`);
  }
}

const sessions = async (options: AgentOptions): Promise<readonly Told[]> =>
  ((await api(options, "")) as { readonly sessions: readonly Told[] }).sessions;

async function api({ gateway, token }: AgentOptions, path: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${gateway}/v1/sessions${path}`, { headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`GET /v1/sessions${path} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

interface Git {
  (cwd: string, ...args: string[]): Promise<void>;
  /** Expects a no whose text has `why` in it. */
  refused(cwd: string, why: string, ...args: string[]): Promise<void>;
}

/** Git in the agent's terminal. */
function terminal({ directory, say }: AgentOptions, working: Working): Git {
  const env = childrenOf(directory, working.conversation);
  const start = async (cwd: string, args: string[]) => {
    const command = `git ${args.map(quoted).join(" ")}`;
    say(`$ ${command}`);
    const { permission, user_message } = await tellHook(working, "beforeShellExecution", { command, cwd });
    if (permission !== "allow") throw new Error(`${command} was not allowed: ${user_message}`);
  };
  const git = async (cwd: string, ...args: string[]) => {
    await start(cwd, args);
    await run("git", args, { cwd, env });
  };
  const refused = async (cwd: string, why: string, ...args: string[]) => {
    await start(cwd, args);
    const { code, err } = await tryRun("git", args, { cwd, env });
    const rejected = err.split("\n").find((line) => line.includes("[remote rejected]"));
    if (code === 0 || !rejected?.includes(why))
      throw new Error(`git ${args.join(" ")} was to be refused, and ended with ${code}: ${err.trim()}`);
    say(`   ${rejected.trim()}`);
  };
  return Object.assign(git, { refused });
}

const quoted = (word: string): string => (/\s/.test(word) ? `"${word}"` : word);
