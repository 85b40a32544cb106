/** Our own scripts run on the Node that npm installs, not on whatever the machine has. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";

test("under npm run, node is Node 24", () => {
  expect(process.versions.node.split(".")[0]).toBe("24");
});

test("the steno command runs on the Node that npm installs", () => {
  const text = execFileSync("npx", ["steno", "help"], {
    cwd: join(import.meta.dirname, ".."),
    encoding: "utf8",
  });
  expect(text).toContain("steno serve");
});

test("an older Node hands the command over, with what it is told, its streams, its signals and its exit", async () => {
  const launcher = join(import.meta.dirname, "../scripts/steno.mjs");
  // As Node was before it read TypeScript.
  const older = ["--no-experimental-strip-types", launcher];
  const told = spawnSync(process.execPath, [...older, "mcp", "Not A Name"], { encoding: "utf8" });
  expect([told.status, told.stdout, told.stderr]).toEqual([
    2,
    "",
    expect.stringContaining('"Not A Name" is no connection\'s name'),
  ]);
  const env = { ...process.env, STENO_GATEWAY: `http://127.0.0.1:${await nobodysPort()}`, STENO_TOKEN: "t" };
  const bridge = spawn(process.execPath, [...older, "mcp", "tracker"], { env });
  const ended = new Promise((resolve) => bridge.on("exit", (code, signal) => resolve(signal ?? code)));
  bridge.stdin.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  const [answer] = (await once(bridge.stdout, "data")) as [Buffer];
  expect(JSON.parse(answer.toString())).toMatchObject({
    id: 1,
    error: { message: expect.stringContaining("nothing was asked") },
  });
  bridge.kill("SIGTERM");
  expect(await ended).toBe(0);
});

async function nobodysPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
