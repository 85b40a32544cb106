// MCP's own conformance suite, both requirement sets, at a server and at the same server through the gateway: there is no difference.
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as forwarded, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endSessions } from "#test/support/git-site.ts";
import { type SuiteServer, startSessionServer } from "#test/support/servers/mcp-sessions.ts";
import { startStatelessServer } from "#test/support/servers/mcp-stateless.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const SUITE = join(import.meta.dirname, "../../node_modules/@modelcontextprotocol/conformance/dist/index.js");
const ERAS = { "2025-11-25": "sessions", "2026-07-28": "stateless" } as const;
type Era = keyof typeof ERAS;

let oidc: OidcServer;
let servers: Record<Era, SuiteServer>;
let node: Node;
/** Adds the token, which the suite has no way to. */
let bearer: Server;

beforeAll(async () => {
  const [provider, sessions, stateless] = await Promise.all([
    startOidc(),
    startSessionServer(),
    startStatelessServer(),
  ]);
  oidc = provider;
  servers = { "2025-11-25": sessions, "2026-07-28": stateless };
  node = await startNode({
    issuer: oidc.issuer,
    connections: Object.entries(ERAS).map(([era, name]) => ({
      ...{ name, kind: "mcp", upstream: servers[era as Era].url },
    })),
    policies: {
      "mcp.cedar":
        '@id("all") @mask("secrets") @reason("all of it") permit (principal, action in Action::"mcp", resource);',
    },
  });
  const token = await oidc.token({ sub: "alice", audience: "steno" });
  const { hostname, port } = new URL(node.gateway());
  bearer = createServer((request, response) => {
    const headers = { ...request.headers, authorization: `Bearer ${token}` };
    const { method, url } = request;
    const through = forwarded({ hostname, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.rawHeaders);
      answer.pipe(response);
    });
    through.on("error", () => response.destroy());
    response.on("close", () => through.destroy());
    request.pipe(through);
  });
  await new Promise<void>((resolve) => bearer.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  bearer?.closeAllConnections();
  await new Promise((resolve) => bearer.close(resolve));
  await node?.stop();
  await Promise.all([...Object.values(servers ?? {}).map((server) => server.stop()), oidc?.stop()]);
});

/** What came of each check, by the scenario and the check's id. */
async function checked(era: Era, url: string): Promise<ReadonlyMap<string, string>> {
  const into = mkdtempSync(join(tmpdir(), "steno-suite-"));
  const args = [SUITE, "server", "--url", url, "--requirements", era, "-o", into];
  // It exits 1 where anything failed, at the server itself as well.
  await new Promise<void>((resolve) => execFile(process.execPath, args, () => resolve()));
  const all = readdirSync(into).flatMap((scenario) => {
    const checks = JSON.parse(readFileSync(join(into, scenario, "checks.json"), "utf8")) as {
      readonly id: string;
      readonly status: string;
    }[];
    const name = scenario.replace(/-\d{4}-\d\d-\d\dT.*$/, "");
    return checks.map(({ id, status }, n) => [`${name} ${id} ${n}`, status] as const);
  });
  rmSync(into, { recursive: true });
  return new Map(all.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

test.each(Object.entries(ERAS) as [Era, string][])(
  "the requirements of %s are met through the gateway as they are without it",
  async (era, name) => {
    const { port } = bearer.address() as AddressInfo;
    const [direct, through] = await Promise.all([
      checked(era, servers[era].url),
      checked(era, `http://127.0.0.1:${port}/mcp-token/${name}`),
    ]);
    expect([...direct.values()].filter((status) => status === "SUCCESS").length).toBeGreaterThan(60);
    const differing = [...direct].filter(([check, status]) => through.get(check) !== status);
    expect(differing.map(([check, status]) => [check, status, through.get(check)])).toEqual([]);
    expect([...through.keys()]).toEqual([...direct.keys()]);
  },
  120_000,
);

test("all of it is sealed and verifies", async () => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  expect(await node.cli("verify", node.archive)).toMatchObject({
    code: 0,
    out: expect.stringContaining("VALID COMPLETE"),
  });
});
