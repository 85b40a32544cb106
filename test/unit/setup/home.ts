// Homes of people to set up: files by name, everything that is in them, and disks that fail.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "jsonc-parser";
import { type Disk, NODE_DISK } from "#scripts/setup/disk.ts";
import { setup } from "#scripts/setup/setup.ts";
import { Kept } from "#test/unit/cli/gateway.ts";

const CONFIG = `
[[connections]]
name = "code"
kind = "git"
upstream = "https://git.example.test"
[[connections]]
name = "old"
kind = "git"
upstream = "git://old.example.test"
[[connections]]
name = "tracker"
kind = "mcp"
upstream = "https://mcp.example.test/mcp"
[[connections]]
name = "cursor"
kind = "hooks"
`;
export const GATEWAY = "https://gw.example.test:8443";

export class Home {
  /** Around the home: the configuration lies here, and projects. */
  readonly base = mkdtempSync(join(tmpdir(), "steno-setup-"));
  readonly path = join(this.base, "home");
  readonly config = join(this.base, "steno.toml");

  constructor() {
    mkdirSync(this.path);
    writeFileSync(this.config, CONFIG);
  }
  put(path: string, text: string | Uint8Array, mode = 0o644): void {
    mkdirSync(join(this.path, path, ".."), { recursive: true });
    writeFileSync(join(this.path, path), text, { mode });
  }
  read(path: string): string {
    return readFileSync(join(this.path, path), "utf8");
  }
  json(path: string): unknown {
    return parse(this.read(path));
  }
  /** Every file with its mode and bytes, and every directory with its mode. */
  seen(root = this.path): Record<string, string> {
    const paths = readdirSync(root, { recursive: true, encoding: "utf8" }).toSorted();
    return Object.fromEntries(
      paths.map((path) => {
        const stat = lstatSync(join(root, path));
        const text = stat.isDirectory() ? "" : readFileSync(join(root, path)).toString("latin1");
        return [path, `${stat.mode.toString(8)} ${text}`];
      }),
    );
  }
  async setup(args: string[] = [], disk: Disk = NODE_DISK, env: Record<string, string> = {}) {
    const own = { HOME: this.path, PATH: process.env["PATH"], STENO_TOKEN: "t", ...env };
    const terminal = new Kept(own);
    const given = args.includes("--remove") ? [] : ["--config", this.config, "--gateway", GATEWAY];
    const code = await setup(["cursor", ...given, ...args], terminal, disk);
    return { code, out: terminal.printed, err: terminal.complaints };
  }
  remove(): void {
    rmSync(this.base, { recursive: true });
  }
}

/** A disk that fails at one write: before it was done, or after. */
export function failing(step: number, when: "before" | "after", count: () => void = () => undefined): Disk {
  let writes = 0;
  const write =
    <A extends unknown[]>(really: (...given: A) => void) =>
    (...given: A): void => {
      count();
      const fails = writes++ === step;
      if (fails && when === "before") throw new Error("the disk is full");
      really(...given);
      if (fails) throw new Error("the disk is full");
    };
  const { replace, remove, makeDirectory } = NODE_DISK;
  return {
    ...NODE_DISK,
    replace: write(replace),
    remove: write(remove),
    makeDirectory: write(makeDirectory),
  };
}
