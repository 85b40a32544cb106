// A plain Git server: `git http-backend` behind nginx, open at /plain and with Basic authentication at /auth.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, workspace } from "./children.ts";
import { cgiParameters, cgiSocket, cgiStreaming, startCgiSite } from "./nginx.ts";
import { freePort } from "./ports.ts";

export interface GitHttpOptions {
  /** Left in place on stop; without it a temporary one is made and removed. */
  readonly directory?: string;
  readonly user?: string;
  readonly password?: string;
  readonly workers?: number;
}

export interface GitHttpServer {
  readonly url: string;
  readonly plainUrl: string;
  readonly authUrl: string;
  /** Where the bare repositories are; one put here is served. */
  readonly root: string;
  readonly user: string;
  readonly password: string;
  /** Makes `<name>` (say "team/app.git") an empty bare repository with HEAD at main and returns its directory. */
  createRepository(name: string): Promise<string>;
  stop(): Promise<void>;
}

/** What the served repositories do for their clients. */
export const gitServerConfig = `[http]
\treceivepack = true
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[receive]
\tadvertisePushOptions = true
[gc]
\tauto = 0
[receive]
\tautogc = false
[init]
\tdefaultBranch = main
[safe]
\tdirectory = *
`;

export async function createBareRepository(root: string, name: string): Promise<string> {
  const path = join(root, name);
  await run("git", ["init", "-q", "--bare", "--template=", "--initial-branch=main", path]);
  return path;
}

/** A line of an htpasswd file. Not hashed: a slow hash at every request would be what the bench measures. */
export const passwordLine = (user: string, password: string): string => `${user}:{PLAIN}${password}\n`;

export async function startGitHttp(options: GitHttpOptions = {}): Promise<GitHttpServer> {
  const { user = "upstream", password = "upstream-password" } = options;
  const home = workspace("git-http", options.directory);
  const port = await freePort();
  const root = join(home.path, "repositories");
  mkdirSync(root, { recursive: true });
  writeFileSync(join(home.path, "gitconfig"), gitServerConfig);
  writeFileSync(join(home.path, "htpasswd"), passwordLine(user, password));
  const backend = `${cgiParameters} fastcgi_param PATH_INFO $path;
    fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend; fastcgi_param GIT_PROJECT_ROOT ${root};
    fastcgi_param GIT_CONFIG_GLOBAL ${home.path}/gitconfig; fastcgi_param HOME ${home.path};
    fastcgi_pass ${cgiSocket(home.path)};`;
  const site = await startCgiSite({
    directory: home.path,
    port,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    http: `server { listen 127.0.0.1:${port}; ${cgiStreaming}
  location ~ ^/plain(?<path>/.*)$ { ${backend} }
  location ~ ^/auth(?<path>/.*)$ { auth_basic git; auth_basic_user_file ${home.path}/htpasswd; ${backend} }
}`,
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    plainUrl: `${url}/plain`,
    authUrl: `${url}/auth`,
    root,
    user,
    password,
    createRepository: (name) => createBareRepository(root, name),
    async stop() {
      await site.stop();
      home.remove();
    },
  };
}
