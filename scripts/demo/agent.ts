/** The coding agent of the demo: stock git, told by configuration alone to go through the gateway. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { askModel } from "./ask-model.ts";
import { gitEnvironment, run, tryRun } from "./program.ts";

export interface AgentOptions {
  readonly directory: string;
  readonly gateway: string;
  /** As the agent knows it: git is told that the gateway stands for it. */
  readonly upstream: string;
  readonly token: string;
  /** What the model would say, and the agent must not hear. */
  readonly secret: string;
  /** Hears of every command, and of what was refused in git's own words. */
  readonly say: (line: string) => void;
}

const SEAL_MS = 60_000;

/** What is said of a session by the API; there is more in it. */
export type Told = { readonly session: string; readonly status: string; readonly root?: string };

/** Opens a session, works in it and ends it; back with its id when it is over. Throws when anything goes otherwise. */
export async function agentSession(options: AgentOptions): Promise<string> {
  const { session } = await api(options, "POST", "", { client: "cursor", conversation: "demo" });
  const git = configure(options, session);
  const work = join(options.directory, "app");
  await askModel({ ...options, session }, options.secret);
  await git(options.directory, "clone", `${options.upstream}/team/app.git`);
  writeFileSync(join(work, "greeting.txt"), "hello\n");
  await git(work, "add", "greeting.txt");
  await git(work, "commit", "-q", "-m", "Greet people");
  await git.refused(work, "main changes by review only", "push", "origin", "main");
  await git(work, "checkout", "-q", "-b", "agent/greeting");
  await git(work, "push", "origin", "agent/greeting");
  await git(work, "commit", "-q", "--amend", "-m", "Greet everybody");
  await git.refused(work, "force pushes are forbidden", "push", "--force", "origin", "agent/greeting");
  await api(options, "DELETE", `/${session}`);
  return session;
}

/** Waits until the archive has the seal, and gives what the gateway says of the session then. */
export async function untilSealed(options: AgentOptions, session: string): Promise<Told> {
  for (const end = Date.now() + SEAL_MS; ; await sleep(50)) {
    const told = await api(options, "GET", `/${session}`);
    if (told.status === "sealed") return told;
    if (Date.now() > end) throw new Error(`${session} is still ${told.status} after ${SEAL_MS / 1000} s`);
  }
}

async function api(
  { gateway, token }: AgentOptions,
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<Told> {
  const response = await fetch(`${gateway}/v1/sessions${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} /v1/sessions${path} answered ${response.status}: ${text}`);
  return JSON.parse(text) as Told;
}

interface Git {
  (cwd: string, ...args: string[]): Promise<void>;
  /** Expects a no whose text has `why` in it. */
  refused(cwd: string, why: string, ...args: string[]): Promise<void>;
}

/** The token goes to the gateway's address only; the session's id makes this one session whatever else runs. */
function configure(options: AgentOptions, session: string): Git {
  const { directory, gateway, upstream, token, say } = options;
  mkdirSync(directory, { recursive: true });
  const config = join(directory, "gitconfig");
  const settings = [
    "[user]\n\tname = Cursor\n\temail = cursor@example.test",
    `[url "${gateway}/git/code/"]\n\tinsteadOf = ${upstream}/`,
    `[http "${gateway}/"]\n\textraHeader = Authorization: Bearer ${token}\n\textraHeader = steno-session: ${session}`,
  ];
  writeFileSync(config, `${settings.join("\n")}\n`, { mode: 0o600 });
  const env = gitEnvironment(directory, config);
  const git = async (cwd: string, ...args: string[]) => {
    say(`$ git ${args.map(quoted).join(" ")}`);
    await run("git", args, { cwd, env });
  };
  const refused = async (cwd: string, why: string, ...args: string[]) => {
    say(`$ git ${args.map(quoted).join(" ")}`);
    const { code, err } = await tryRun("git", args, { cwd, env });
    const rejected = err.split("\n").find((line) => line.includes("[remote rejected]"));
    if (code === 0 || !rejected?.includes(why))
      throw new Error(`git ${args.join(" ")} was to be refused, and ended with ${code}: ${err.trim()}`);
    say(`   ${rejected.trim()}`);
  };
  return Object.assign(git, { refused });
}

const quoted = (word: string): string => (/\s/.test(word) ? `"${word}"` : word);
