// A stock git client with a home and a configuration of its own, and the gateway's token carried as an operator would.
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Child, startChild } from "./servers/children.ts";

/** `extraHeader` on every request, a credential helper that git asks after a challenge, or the URL's password. */
export type Carrier = "header" | "helper" | "userinfo" | "none";

export interface GitClientOptions {
  readonly token?: string;
  /** The origin that the token is for; every origin when left out. */
  readonly origin?: string;
  /** `header` when there is a token, else `none`. */
  readonly carrier?: Carrier;
  readonly protocol?: 0 | 2;
  /** More of `~/.gitconfig`, in its own syntax. */
  readonly config?: string;
  /** After so long a command is killed; a minute when left out. */
  readonly patienceMs?: number;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface GitClient {
  readonly home: string;
  /** Runs git to its end, whatever its exit code. */
  attempt(...args: string[]): Promise<Ran>;
  /** Runs git, which must succeed, and returns what it printed without white space at its ends. */
  git(...args: string[]): Promise<string>;
  /** Starts git without waiting for it. */
  start(...args: string[]): Child;
  /** A directory below the home that does not exist yet. */
  fresh(): string;
  /** The URL with the token in it when that is how it is carried; else as it is. */
  url(base: string): string;
  /** What the credential helper answers, and the header has, from now on. */
  carry(token: string): void;
  /** Clones into a fresh directory and returns that. */
  clone(url: string, ...args: string[]): Promise<string>;
  /** Writes a file and commits it on the branch that is checked out; returns the commit's id. */
  commit(directory: string, path: string, content: string | Uint8Array, message?: string): Promise<string>;
  remove(): void;
}

const CONFIG = `[user]
\tname = Ada Example
\temail = ada@example.test
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
`;

export function gitClient(options: GitClientOptions = {}): GitClient {
  const { protocol = 2, config = "", patienceMs: timeout = 60_000 } = options;
  const scope = options.origin === undefined ? "" : ` "${options.origin}"`;
  const carrier = options.carrier ?? (options.token === undefined ? "none" : "header");
  const home = mkdtempSync(join(tmpdir(), "steno-git-client-"));
  const env: NodeJS.ProcessEnv = {
    PATH: process.env["PATH"],
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    LC_ALL: "C.UTF-8",
  };
  let token = options.token ?? "";
  let made = 0;
  const configure = (): void => {
    const carried: Record<Carrier, string> = {
      header: `[http${scope}]\n\textraHeader = Authorization: Bearer ${token}\n`,
      helper: `[credential${scope}]\n\thelper = "!f() { test $1 != get || { echo username=agent; echo password=$(cat ${home}/token); }; }; f"\n`,
      userinfo: "",
      none: "",
    };
    writeFileSync(join(home, "token"), token);
    writeFileSync(
      join(home, ".gitconfig"),
      `${CONFIG}[protocol]\n\tversion = ${protocol}\n${carried[carrier]}${config}`,
    );
  };
  configure();
  const attempt = (...args: string[]): Promise<Ran> => {
    const { promise, resolve } = Promise.withResolvers<Ran>();
    execFile("git", args, { cwd: home, env, maxBuffer: 64 << 20, timeout }, (error, stdout, stderr) =>
      resolve({
        code: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
        stdout,
        stderr,
      }),
    );
    return promise;
  };
  const git = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await attempt(...args);
    if (code !== 0) throw new Error(`git ${args.join(" ")}: ${code} ${stderr}`);
    return stdout.trim();
  };
  const fresh = (): string => join(home, `work-${made++}`);
  return {
    home,
    attempt,
    git,
    start: (...args) => startChild("git", args, { cwd: home, env, log: join(home, `log-${made++}`) }),
    fresh,
    url: (base) =>
      carrier === "userinfo" ? base.replace("//", `//agent:${encodeURIComponent(token)}@`) : base,
    carry(next) {
      token = next;
      configure();
    },
    async clone(url, ...args) {
      const directory = fresh();
      await git("clone", "-q", ...args, url, directory);
      return directory;
    },
    async commit(directory, path, content, message = `Change ${path}`) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), content);
      await git("-C", directory, "add", path);
      await git("-C", directory, "commit", "-q", "-m", message);
      return git("-C", directory, "rev-parse", "HEAD");
    },
    remove: () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** Every ref of a repository with the id it has. */
export async function refsOf(client: GitClient, directory: string): Promise<readonly string[]> {
  const refs = await client.git("-C", directory, "for-each-ref", "--format=%(objectname) %(refname)");
  return refs.split("\n").filter(Boolean);
}

/** Every object that is reachable, after a check of the whole repository; two equal lists are two equal histories. */
export async function contentsOf(client: GitClient, directory: string): Promise<readonly string[]> {
  const [objects] = await Promise.all([
    client.git("-C", directory, "rev-list", "--all", "--objects"),
    client.git("-C", directory, "fsck", "--strict", "--no-dangling"),
  ]);
  return objects.split("\n").toSorted();
}

/** Runs git with bytes in and bytes out. */
export function gitBytes(
  client: GitClient,
  args: readonly string[],
  input: string | Uint8Array,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const child = spawn("git", args, {
    cwd: client.home,
    env: { PATH: process.env["PATH"], HOME: client.home },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.once("error", reject);
  child.once("close", (code) =>
    code === 0 ? resolve(Buffer.concat(chunks)) : reject(new Error(`git ${args[0]} ended with ${code}`)),
  );
  child.stdin.end(input);
  return promise;
}
