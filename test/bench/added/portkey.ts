// Portkey's gateway, to compare with: installed beside the bench at its first use, so that it is no dependency of Steno's.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, type Child, run, startChild, until } from "#test/support/servers/children.ts";
import { freePort } from "#test/support/servers/ports.ts";

const HOME = join(import.meta.dirname, "../../../.steno/bench/peers/portkey");
const PROGRAM = join(HOME, "node_modules/@portkey-ai/gateway/build/start-server.js");
const LOOPBACK = new URL("../programs/loopback.ts", import.meta.url).href;

/** Streams answer 500 with a newer `@hono/node-server`: "immutable" headers. */
const PACKAGE = {
  private: true,
  dependencies: { "@portkey-ai/gateway": "1.15.2" },
  overrides: { "@hono/node-server": "1.12.2", hono: "4.9.7" },
};

export interface Portkey {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly child: Child;
}

/** Undefined where it cannot be installed; what npm said is printed. */
export async function startPortkey(upstream: string, directory: string): Promise<Portkey | undefined> {
  if (!existsSync(PROGRAM)) {
    mkdirSync(HOME, { recursive: true });
    writeFileSync(join(HOME, "package.json"), JSON.stringify(PACKAGE));
    const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
    try {
      await run("npm", args, { cwd: HOME, timeoutMs: 180_000 });
    } catch (cause) {
      console.error(`Portkey is left out: ${String(cause)}`);
      return undefined;
    }
  }
  const port = await freePort();
  const args = ["--import", LOOPBACK, PROGRAM, `--port=${port}`, "--headless"];
  const child = startChild(process.execPath, args, { log: join(directory, "portkey.log"), cwd: HOME });
  await until(() => accepts(port), "Portkey's gateway", [child]);
  return {
    url: `http://127.0.0.1:${port}`,
    headers: {
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `${upstream}/v1`,
      authorization: "Bearer none",
    },
    child,
  };
}
