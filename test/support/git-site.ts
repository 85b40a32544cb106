// A whole installation for git: identity provider, git server, node, and a tap on the line between node and git server.
import { setTimeout as sleep } from "node:timers/promises";
import { type Carrier, type GitClient, gitClient } from "./git-client.ts";
import { type Recording, readRecording } from "./recording.ts";
import { type GitHttpServer, startGitHttp } from "./servers/git-http.ts";
import { type OidcServer, startOidc } from "./servers/oidc.ts";
import { type Node, type NodeOptions, startNode } from "./steno.ts";
import { startTap, type Tap } from "./tap.ts";

export interface GitSite {
  readonly oidc: OidcServer;
  readonly server: GitHttpServer;
  /** Before the git server: what reaches it, and what it answers. */
  readonly tap: Tap;
  readonly node: Node;
  token(sub?: string): Promise<string>;
  /** A client of `sub`, who is alice unless named. */
  client(options?: {
    readonly sub?: string;
    readonly carrier?: Carrier;
    readonly protocol?: 0 | 2;
    readonly config?: string;
    readonly patienceMs?: number;
  }): Promise<GitClient>;
  /** A client that goes to the git server itself, with the upstream's own password. */
  direct(protocol?: 0 | 2): GitClient;
  /** `<gateway>/git/<connection>/<repository>`. */
  url(repository: string, connection?: string): string;
  directUrl(repository: string): string;
  /**
   * Ends every session, waits until all are sealed, and returns what `steno verify` says of the archive. `provider` says
   * who an administrator is, when that is no longer the one the site began with.
   */
  seal(provider?: OidcServer): Promise<{ readonly code: number; readonly verdict: string }>;
  recording(): Promise<Recording>;
  stop(): Promise<void>;
}

/** The connection `code` leads to the git server; others are given with `connections`. */
export async function startGitSite(
  options: Partial<Omit<NodeOptions, "connections">> & {
    readonly connections?: (tap: Tap) => NodeOptions["connections"];
    /** How far pushes to `code` are looked into. */
    readonly inspect?: "full" | "refs";
  } = {},
): Promise<GitSite> {
  const [oidc, server] = await Promise.all([startOidc(), startGitHttp()]);
  const tap = await startTap(server.url);
  const { connections, env, inspect = "full", ...rest } = options;
  const upstream = `${tap.url}/auth`;
  const code = { name: "code", kind: "git", upstream, credential: "env:UPSTREAM_SECRET", inspect };
  const node = await startNode({
    issuer: oidc.issuer,
    ...rest,
    connections: [code, ...(connections?.(tap) ?? [])],
    env: { UPSTREAM_SECRET: `${server.user}:${server.password}`, ...env },
  });
  const clients: GitClient[] = [];
  const made = (client: GitClient): GitClient => {
    clients.push(client);
    return client;
  };
  const token = (sub = "alice"): Promise<string> => oidc.token({ sub, audience: "steno" });
  return {
    oidc,
    server,
    tap,
    node,
    token,
    async client({ sub, ...how } = {}) {
      return made(gitClient({ token: await token(sub), origin: node.gateway(), ...how }));
    },
    direct: (protocol = 2) => made(gitClient({ protocol })),
    url: (repository, connection = "code") => `${node.gateway()}/git/${connection}/${repository}`,
    directUrl: (repository) =>
      `${server.authUrl}/${repository}`.replace("//", `//${server.user}:${server.password}@`),
    async seal(provider = oidc) {
      await endSessions(node, await provider.token({ sub: "dave", audience: "steno-console" }));
      const { code: exit, out, err } = await node.cli("verify", node.archive);
      return { code: exit, verdict: exit === 0 ? out.replace(/ sessions=.*\s*$/, "") : `${out}${err}` };
    },
    recording: () => readRecording(node.archive),
    async stop() {
      for (const client of clients) client.remove();
      await node.stop();
      await tap.stop();
      await Promise.all([server.stop(), oidc.stop()]);
    },
  };
}

/** What `seal` answers when nothing is wrong and nothing is missing. */
export const SOUND = { code: 0, verdict: "VALID COMPLETE" } as const;

type Listed = { readonly session: string; readonly status: string };

/** Ends every session that is open, and is back when all are sealed. */
export async function endSessions(node: Pick<Node, "console">, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const list = async (): Promise<readonly Listed[]> => {
    const response = await fetch(`${node.console()}/api/v1/sessions`, { headers });
    if (!response.ok) throw new Error(`the console answered ${response.status}: ${await response.text()}`);
    return ((await response.json()) as { readonly sessions: readonly Listed[] }).sessions;
  };
  for (const { session } of (await list()).filter(({ status }) => status === "open"))
    await fetch(`${node.console()}/api/v1/sessions/${session}/kill`, { method: "POST", headers });
  for (const end = performance.now() + 90_000; ; ) {
    const waiting = (await list()).filter(({ status }) => status !== "sealed");
    if (waiting.length === 0) return;
    if (performance.now() > end) throw new Error(`not sealed: ${JSON.stringify(waiting)}`);
    await sleep(50);
  }
}
