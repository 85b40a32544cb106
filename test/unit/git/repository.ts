/** Repositories made with stock git, under a configuration of their own. */
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Workspace = {
  readonly home: string;
  /** Bare repositories to be served. */
  readonly served: string;
  remove(): void;
};
export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

const CONFIG = `[user]
	name = Ada
	email = ada@example.test
[init]
	defaultBranch = main
[http]
	receivepack = true
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
	advertiseBundleURIs = true
[receive]
	advertisePushOptions = true
	autogc = false
[gc]
	auto = 0
[safe]
	directory = *
`;

export function makeWorkspace(): Workspace {
  const home = mkdtempSync(join(tmpdir(), "steno-git-"));
  const served = join(home, "served");
  mkdirSync(served);
  writeFileSync(join(home, ".gitconfig"), CONFIG);
  return { home, served, remove: () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }) };
}

export const environment = (workspace: Workspace): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  HOME: workspace.home,
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: join(workspace.home, ".gitconfig"),
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "true",
  LC_ALL: "C.UTF-8",
});

/** Runs git to its end, whatever the exit code. */
export function tryGit(workspace: Workspace, cwd: string, ...args: string[]): Promise<Ran> {
  return new Promise((done) => {
    const options = { cwd, env: environment(workspace), maxBuffer: 64 << 20, timeout: 25_000 };
    execFile("git", args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      done({ code, stdout, stderr });
    });
  });
}

/** Runs git, which must succeed, and returns what it printed without the last newline. */
export async function git(workspace: Workspace, cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tryGit(workspace, cwd, ...args);
  if (code !== 0) throw new Error(`git ${args.join(" ")} in ${cwd}: ${code} ${stderr}`);
  return stdout.trimEnd();
}

/** Runs git with bytes in and bytes out. */
export function gitBytes(
  workspace: Workspace,
  cwd: string,
  args: string[],
  input: string | Uint8Array = "",
): Promise<Buffer> {
  return new Promise((done, fail) => {
    const child = spawn("git", args, {
      cwd,
      env: environment(workspace),
      stdio: ["pipe", "pipe", "inherit"],
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", fail);
    child.on("close", (code) =>
      code === 0 ? done(Buffer.concat(chunks)) : fail(new Error(`git ${args[0]}: ${code}`)),
    );
    // One that ends without reading says by its exit code whether that was a failure.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

export async function bare(
  workspace: Workspace,
  name: string,
  format: "sha1" | "sha256" = "sha1",
): Promise<string> {
  const path = join(workspace.served, name);
  await git(workspace, workspace.home, "init", "-q", "--bare", `--object-format=${format}`, path);
  return path;
}

export async function working(
  workspace: Workspace,
  name: string,
  format: "sha1" | "sha256" = "sha1",
): Promise<string> {
  const path = join(workspace.home, name);
  await git(workspace, workspace.home, "init", "-q", `--object-format=${format}`, path);
  return path;
}

export async function commit(
  workspace: Workspace,
  path: string,
  file: string,
  text: string | Uint8Array,
): Promise<string> {
  writeFileSync(join(path, file), text);
  await git(workspace, path, "add", file);
  await git(workspace, path, "commit", "-q", "-m", `Change ${file}`);
  return git(workspace, path, "rev-parse", "HEAD");
}
