// What the documents hold: fenced blocks with their marks, sections, tables; and how a block is run.
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

export type Block = { readonly at: string; readonly mark: string; readonly body: string };

/** Fenced blocks, those inside a list item without its indent. `at` is where a reader finds it. */
export function blocksOf(path: string, text: string): Block[] {
  return [...text.matchAll(/^( *)```([^\n]*)\n([\s\S]*?)\n?^\1```$/gm)].map((match) => {
    const [, indent = "", mark = "", body = ""] = match;
    const line = text.slice(0, match.index).split("\n").length;
    const lines = body.split("\n").map((each) => each.replace(new RegExp(`^${indent}`), ""));
    return { at: `${path}:${line}`, mark: mark.trim(), body: `${lines.join("\n")}\n` };
  });
}

/** What stands under a heading of the second level, up to the next one. */
export function sectionOf(page: string, heading: string): string {
  const begin = page.indexOf(`\n## ${heading}\n`);
  if (begin === -1) throw new Error(`no section ${heading}`);
  const end = page.indexOf("\n## ", begin + 1);
  return page.slice(begin, end === -1 ? undefined : end);
}

/** Rows of the first table, without its head. */
export function tableOf(section: string): string[][] {
  const lines = section.split("\n");
  const rule = lines.findIndex((line) => /^\|(-+\|)+$/.test(line));
  if (rule === -1) throw new Error("no table");
  const after = lines.slice(rule + 1);
  const rows = after.slice(
    0,
    after.findIndex((line) => !line.startsWith("|")),
  );
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const ROOT = join(import.meta.dirname, "../..");

/**
 * A directory for the path in which `npx steno …` runs this checkout's own steno, wherever it is called: what npx does
 * in the checkout. That npx itself finds it there is tested in `node.test.ts`.
 */
export function stenoShim(directory: string): string {
  const bin = join(directory, "bin");
  mkdirSync(bin, { recursive: true });
  const shim = join(bin, "npx");
  const steno = join(ROOT, "scripts/steno.ts");
  writeFileSync(
    shim,
    `#!/bin/sh\n[ "$1" = steno ] || exit 127\nshift\nexec "${process.execPath}" "${steno}" "$@"\n`,
  );
  chmodSync(shim, 0o755);
  return bin;
}

export type Ran = { readonly code: number; readonly out: string; readonly err: string };

/** Runs a block to its end, a shell's with -e; its output is what it wrote. Never blocks: servers may be in this program. */
export function runBlock(
  kind: "sh" | "ts",
  body: string,
  options: { cwd: string; env?: Readonly<Record<string, string>>; path?: string },
): Promise<Ran> {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const [command, args] =
    kind === "sh"
      ? ["/bin/bash", ["-e", "-o", "pipefail", "-c", body]]
      : [process.execPath, ["--input-type=module-typescript", "--eval", body]];
  const path = [options.path, dirname(process.execPath), process.env["PATH"]].filter(Boolean).join(delimiter);
  execFile(
    command as string,
    args as string[],
    { cwd: options.cwd, env: { ...process.env, ...options.env, PATH: path }, timeout: 60_000 },
    (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, out, err });
    },
  );
  return promise;
}
