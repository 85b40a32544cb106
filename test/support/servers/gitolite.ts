// gitolite behind nginx: a Git server that authorizes by itself, so that its own refusals pass through the gateway too.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, workspace } from "./children.ts";
import { gitServerConfig, passwordLine } from "./git-http.ts";
import { cgiParameters, cgiSocket, cgiStreaming, startCgiSite } from "./nginx.ts";
import { freePort } from "./ports.ts";

export interface Account {
  readonly user: string;
  readonly password: string;
}

export interface GitoliteServer {
  /** Repositories are at `<url>/<name>`, with Basic authentication. */
  readonly url: string;
  readonly repositories: readonly string[];
  /** May clone and fetch. */
  readonly reader: Account;
  /** May also push, except what matches `protectedRef`. */
  readonly writer: Account;
  /** May do anything. */
  readonly lead: Account;
  /** A ref that the writer may read and not write. */
  readonly protectedRef: string;
  stop(): Promise<void>;
}

const reader = { user: "reader", password: "reader-password" };
const writer = { user: "writer", password: "writer-password" };
const lead = { user: "lead", password: "lead-password" };

/** The first rule that matches a ref decides, and without one the answer is no. */
const rules = (repositories: readonly string[]): string => `
repo ${repositories.join(" ")}
    RW+                     =   lead
    -   refs/heads/release/ =   writer
    RW+                     =   writer
    R                       =   reader
`;

/** Sets gitolite up in a home of its own, without SSH keys, and compiles the rules. */
async function setUp(home: string, repositories: readonly string[]): Promise<void> {
  const env = {
    ...process.env,
    HOME: home,
    GIT_CONFIG_GLOBAL: join(home, "gitconfig"),
    GL_BYPASS_ACCESS_CHECKS: "1",
  };
  writeFileSync(env.GIT_CONFIG_GLOBAL, gitServerConfig);
  await run("gitolite", ["setup", "-a", "lead"], { env, cwd: home });
  writeFileSync(join(home, ".gitolite/conf/gitolite.conf"), rules(repositories));
  await run("gitolite", ["compile"], { env, cwd: home });
  await run("gitolite", ["trigger", "POST_COMPILE"], { env, cwd: home });
}

export async function startGitolite(
  options: { readonly directory?: string; readonly repositories?: readonly string[] } = {},
): Promise<GitoliteServer> {
  const { repositories = ["project"] } = options;
  const work = workspace("gitolite", options.directory);
  try {
    const home = join(work.path, "home");
    mkdirSync(home, { recursive: true });
    await setUp(home, repositories);
    const cgi = join(work.path, "gitolite.cgi");
    writeFileSync(cgi, "#!/bin/sh\nexec /usr/share/gitolite3/gitolite-shell\n");
    chmodSync(cgi, 0o755);
    const passwords = join(work.path, "htpasswd");
    writeFileSync(
      passwords,
      [reader, writer, lead].map((one) => passwordLine(one.user, one.password)).join(""),
    );
    const port = await freePort();
    const site = await startCgiSite({
      directory: work.path,
      port,
      http: `server { listen 127.0.0.1:${port}; ${cgiStreaming}
  auth_basic gitolite; auth_basic_user_file ${passwords};
  location ~ ^/git(?<path>/.*)$ {
    ${cgiParameters} fastcgi_param PATH_INFO $path; fastcgi_param SCRIPT_NAME /git;
    fastcgi_param SCRIPT_FILENAME ${cgi}; fastcgi_param HOME ${home}; fastcgi_param GITOLITE_HTTP_HOME ${home};
    fastcgi_param GIT_PROJECT_ROOT ${home}/repositories; fastcgi_param GIT_CONFIG_GLOBAL ${home}/gitconfig;
    fastcgi_pass ${cgiSocket(work.path)};
  }
}`,
    });
    return {
      url: `http://127.0.0.1:${port}/git`,
      repositories,
      reader,
      writer,
      lead,
      protectedRef: "refs/heads/release/1.0",
      async stop() {
        await site.stop();
        work.remove();
      },
    };
  } catch (error) {
    work.remove();
    throw error;
  }
}
