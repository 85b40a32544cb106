// A node whose policy holds what the bench asks, whoever decides on it, and when it reaches what is behind the node.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Approver, approverOf } from "#test/support/approver.ts";
import { type GitSite, startGitSite } from "#test/support/git-site.ts";
import { memoryOf } from "../measure.ts";
import { isWorkerd } from "../targets.ts";

const POLICY = `
@id("all") @reason("developers work here")
permit (principal in Group::"developers", action, resource);
@id("push") @hold("leads") @reason("a lead looks at pushes")
forbid (principal, action in Action::"git.write", resource is Ref);
@id("tool") @hold("leads") @reason("a lead looks at calls")
forbid (principal, action == Action::"mcp.tools/call", resource);
@id("write") @hold("leads") @reason("a lead looks at what is written")
forbid (principal, action == Action::"http.request", resource) when { context.method != "GET" };
@id("shell") @hold("leads") @reason("a lead looks at commands")
forbid (principal, action == Action::"shell.exec", resource);
`;

export interface HeldSite extends GitSite {
  readonly lead: Approver;
  readonly agentToken: string;
  /** When the first byte of the request that says `mark` came to a server, on the clock of `performance.now`. */
  arrived(mark: string): Promise<number>;
  /** How many requests came so far. */
  readonly came: () => number;
  /** What the node's workerds have resident, MB. */
  memory(): number;
  log(): string;
}

/** Marks are `m` and digits, and end with a dot. */
const MARK = /m\d+\./;

export async function startHeldSite(directory: string): Promise<HeldSite> {
  const times = new Map<string, number>();
  const waiting = new Map<string, (at: number) => void>();
  const note = (mark: string, at: number) => {
    times.set(mark, at);
    waiting.get(mark)?.(at);
  };
  const server = createServer((request, response) => {
    const at = performance.now();
    const parts: Buffer[] = [];
    request
      .on("data", (part: Buffer) => void parts.push(part))
      .on("end", () => {
        const asked = Buffer.concat(parts).toString();
        const mark = MARK.exec(asked)?.[0];
        if (mark !== undefined) note(mark, at);
        const { id } = JSON.parse(asked === "" ? "{}" : asked) as { readonly id?: number };
        const said = JSON.stringify({
          jsonrpc: "2.0",
          id,
          result: { content: [{ type: "text", text: "done" }] },
        });
        response
          .writeHead(200, { "content-type": "application/json", "content-length": said.length })
          .end(said);
      });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const behind = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const site = await startGitSite({
    directory,
    policies: { "all.cedar": POLICY },
    connections: () => [
      { name: "tools", kind: "mcp", upstream: `${behind}/mcp` },
      { name: "notes", kind: "http", upstream: behind },
      { name: "cursor", kind: "hooks" },
    ],
  });
  // A push has no mark: its name is that of its repository.
  site.tap.instead = ({ method, url = "" }) => {
    const mark = MARK.exec(url)?.[0];
    if (method === "POST" && url.includes("receive-pack") && mark !== undefined)
      note(mark, performance.now());
    return false;
  };
  const agentToken = await site.oidc.token({ sub: "alice", audience: "steno", expiresIn: 3600 });
  return {
    ...site,
    lead: approverOf(
      site.node,
      await site.oidc.token({ sub: "bob", audience: "steno-console", expiresIn: 3600 }),
    ),
    agentToken,
    arrived: (mark) => {
      const known = times.get(mark);
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve) => waiting.set(mark, resolve));
    },
    came: () => times.size,
    memory: () =>
      site.node
        .workerds()
        .filter(isWorkerd)
        .reduce((sum, pid) => sum + memoryOf(pid), 0),
    log: () => site.node.output().slice(-3000),
    async stop() {
      await site.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
