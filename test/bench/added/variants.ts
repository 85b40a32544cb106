// What stands between an agent and what it talks to: nothing, a workerd that only passes on, Portkey's gateway, and Steno
// with everything on, once more with a disk whose fsyncs cost nothing.
import { join } from "node:path";
import { accepts, type Child, startChild, until } from "#test/support/servers/children.ts";
import { startOidc } from "#test/support/servers/oidc.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { type Node, type NodeOptions, startNode } from "#test/support/steno.ts";
import { noFsync } from "../slow-disk.ts";
import { bareWorkerd, isWorkerd, preloading } from "../targets.ts";
import { startPortkey } from "./portkey.ts";

const PROGRAM = new URL("../programs/agent-upstream.ts", import.meta.url).pathname;

/** Every detector that comes with Steno, both ways. */
export const DETECTORS = ["secrets", "email", "cards", "bank", "ids", "injection"];

export interface Endpoint {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Variant {
  readonly name: string;
  /** An MCP server, where it can pass one on. */
  readonly mcp: Endpoint | undefined;
  readonly chat: Endpoint;
  /** The gateway of a node, and a token for it. */
  readonly hooks: { readonly gateway: string; readonly token: string } | undefined;
  /** The processes that stand between. */
  pids(): readonly number[];
  log(): string;
}

export interface Stage {
  readonly variants: readonly Variant[];
  stop(): Promise<void>;
}

/** Where a model is asked. */
export const CHAT = "/v1/chat/completions";

/** What agents talk to, as a process of its own. */
export async function startAgentUpstream(directory: string): Promise<{ url: string; child: Child }> {
  const port = await freePort();
  const child = startChild(process.execPath, [PROGRAM, String(port)], { log: join(directory, "agent.log") });
  await until(() => accepts(port), "what agents talk to", [child]);
  return { url: `http://127.0.0.1:${port}`, child };
}

/** A node before it with everything on. */
export const startAgentNode = (
  upstream: string,
  issuer: string,
  options: Partial<NodeOptions> = {},
): Promise<Node> =>
  startNode({
    issuer,
    connections: [
      { name: "tools", kind: "mcp", upstream: `${upstream}/mcp` },
      { name: "models", kind: "llm", upstream },
      { name: "cursor", kind: "hooks" },
    ],
    mask: { detectors: DETECTORS },
    ...options,
  });

export const chatAt = (node: Pick<Node, "gateway">): string => `${node.gateway()}/llm/models${CHAT}`;

/** All are stopped when one cannot be started. */
export async function stage(directory: string): Promise<Stage> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const each of stops.toReversed()) await each();
  };
  try {
    return { variants: await variants(directory, stops), stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

async function variants(directory: string, stops: (() => Promise<void>)[]): Promise<Variant[]> {
  const agent = await startAgentUpstream(directory);
  stops.push(() => agent.child.stop());
  const upstream = agent.url;
  const plain = (name: string, url: string) => ({
    name,
    mcp: { url: `${url}/mcp`, headers: {} },
    chat: { url: `${url}${CHAT}`, headers: {} },
    hooks: undefined,
    pids: () => [],
    log: () => "",
  });
  const bare = await bareWorkerd({ agent: upstream }, directory);
  stops.push(() => bare.stop());
  const portkey = await startPortkey(upstream, directory);
  if (portkey) stops.push(() => portkey.child.stop());
  const oidc = await startOidc();
  stops.push(() => oidc.stop());
  const token = await oidc.token({ sub: "alice", audience: "steno", expiresIn: 6 * 3600 });
  const steno = async (name: string, env: NodeOptions["env"]): Promise<Variant> => {
    const home = join(directory, name.replaceAll(/\W/g, "-"));
    const node = await startAgentNode(upstream, oidc.issuer, { directory: home, ...(env && { env }) });
    stops.push(() => node.stop());
    const headers = { authorization: `Bearer ${token}`, "user-agent": "bench/1" };
    return {
      name,
      mcp: { url: `${node.gateway()}/mcp-token/tools`, headers },
      chat: { url: chatAt(node), headers },
      hooks: { gateway: node.gateway(), token },
      pids: () => node.workerds().filter(isWorkerd),
      log: () => node.output().slice(-3000),
    };
  };
  const preload = noFsync(directory);
  return [
    plain("direct", upstream),
    { ...plain("bare", bare.url("agent")), pids: bare.pids, log: bare.log },
    ...(portkey
      ? [
          {
            ...plain("Portkey", portkey.url),
            mcp: undefined,
            chat: { url: `${portkey.url}${CHAT}`, headers: portkey.headers },
            log: () => portkey.child.output().slice(-3000),
          },
        ]
      : []),
    await steno("Steno", undefined),
    ...(preload
      ? [await steno("Steno, fsync free", preloading(join(directory, "Steno--fsync-free"), preload))]
      : []),
  ];
}
