// `git daemon` on loopback that serves and accepts pushes: an upstream that speaks git:// over TCP.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, startChild, until, workspace } from "./children.ts";
import { createBareRepository, gitServerConfig } from "./git-http.ts";
import { freePort } from "./ports.ts";

export interface GitDaemon {
  /** `git://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Where the bare repositories are; one put here is served. */
  readonly root: string;
  createRepository(name: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startGitDaemon(options: { readonly directory?: string } = {}): Promise<GitDaemon> {
  const home = workspace("git-daemon", options.directory);
  const port = await freePort();
  const root = join(home.path, "repositories");
  mkdirSync(root, { recursive: true });
  const config = join(home.path, "gitconfig");
  writeFileSync(config, gitServerConfig);
  const address = ["--listen=127.0.0.1", `--port=${port}`, "--reuseaddr"];
  const access = [`--base-path=${root}`, "--export-all", "--enable=receive-pack", "--informative-errors"];
  const daemon = startChild("git", ["daemon", ...address, ...access, "--verbose"], {
    log: join(home.path, "log"),
    env: { ...process.env, GIT_CONFIG_GLOBAL: config, HOME: home.path },
  });
  const stop = async (): Promise<void> => {
    await daemon.stop();
    home.remove();
  };
  try {
    await until(() => accepts(port), "git daemon", [daemon]);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `git://127.0.0.1:${port}`,
    port,
    root,
    createRepository: (name) => createBareRepository(root, name),
    stop,
  };
}
