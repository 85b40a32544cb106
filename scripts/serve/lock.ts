/** One program for one state directory: a kernel lock that ends with whoever holds it, however it ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

export type Lock = { release(): Promise<void> };

export class LockFault extends Error {
  override readonly name = "LockFault";
}

/**
 * Takes the lock, or throws `LockFault` naming who has it. Node has no flock(2): a child that copies our pipe holds
 * the lock until the pipe closes, which a killed parent does too.
 */
export async function lockState(state: string, program = "steno serve"): Promise<Lock> {
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const path = join(state, "serve.lock");
  writeFileSync(path, "", { flag: "a", mode: 0o600 });
  const child = spawn("flock", ["-n", path, "cat"], { stdio: ["pipe", "pipe", "inherit"], detached: true });
  const ended = once(child, "close");
  // The pipe breaks when flock ends at once; the race below says so.
  child.stdin.on("error", () => undefined);
  child.stdin.write("held\n");
  const echo = createInterface(child.stdout);
  const held = await Promise.race([once(echo, "line").then(() => true), ended.then(() => false)]).catch(
    (cause: unknown) => {
      throw new LockFault("cannot run flock (Debian package util-linux)", { cause });
    },
  );
  if (!held) {
    const owner = readFileSync(path, "utf8").trim();
    throw new LockFault(`another ${program}${owner === "" ? "" : ` (pid ${owner})`} runs on ${state}`);
  }
  writeFileSync(path, `${process.pid}\n`);
  return {
    async release() {
      child.stdin.end();
      await ended;
    },
  };
}
