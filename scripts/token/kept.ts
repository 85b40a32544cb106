/** What a person's machine keeps of a gateway: where it is, and the tokens for it. The hooks' shims read the same files. */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** `token` is for the agents' socket, `console-token` for the console; `gateway` is the URL of the first. */
export type KeptName = "token" | "console-token" | "gateway";

export const keptPath = (env: Environment, name: KeptName): string => join(configDirectory(env), name);

/** A token that is kept, undefined when there is none. Throws when it is no token, or others can read it. */
export function keptToken(env: Environment, name: "token" | "console-token"): string | undefined {
  const path = keptPath(env, name);
  const text = read(path, (mode) => {
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw new Error(`${path} can be read by others: chmod 600 it, and ask for a new token`);
  });
  return text === undefined ? undefined : usableToken(text, path);
}

export const keptGateway = (env: Environment): string | undefined =>
  read(keptPath(env, "gateway"), () => undefined) || undefined;

/** Replaces what is kept, with mode 0600, whole or not at all. */
export function keep(env: Environment, name: KeptName, text: string): void {
  const path = keptPath(env, name);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}`;
  try {
    writeFileSync(next, `${text}\n`, { mode: 0o600, flag: "wx", flush: true });
    // The mode of creation is less what the umask takes, never more; of a file that was there it is not asked.
    chmodSync(next, 0o600);
    renameSync(next, path);
  } catch (cause) {
    rmSync(next, { force: true });
    throw cause;
  }
}

/** Whether there was one. */
export function forget(env: Environment, name: KeptName): boolean {
  const path = keptPath(env, name);
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
  rmSync(path);
  return true;
}

/** The token without white space around it; `from` is what the error names, which never repeats the text. */
export function usableToken(text: string, from: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new Error(`${from} holds no token`);
}

function configDirectory(env: Environment): string {
  const home = env["HOME"] ?? homedir();
  switch (process.platform) {
    case "darwin":
      return join(home, "Library", "Application Support", "steno");
    case "win32":
      return join(env["APPDATA"] ?? join(home, "AppData", "Roaming"), "steno");
    default:
      return join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "steno");
  }
}

function read(path: string, look: (mode: number) => void): string | undefined {
  try {
    look(statSync(path).mode);
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw cause;
  }
}
