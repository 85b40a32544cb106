// Repositories with the same commits on every run and every machine, written through `git fast-import`.
import { spawn } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { run } from "./children.ts";

export interface RepositorySize {
  /** What its pack comes to, within a tenth. */
  readonly megabytes: number;
  readonly commits: number;
}

export interface TinyRepository {
  /** Commit ids, oldest first; the last is main's. */
  readonly commits: readonly string[];
  readonly feature: string;
  /** The annotated tag's own object. */
  readonly tag: string;
}

type Write = (part: string | Uint8Array) => Promise<void>;

/** A fixed stream of bytes: AES-CTR under a constant key, so that nothing depends on Node's own generators. */
function byteStream(): (length: number) => Buffer {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 0x51), Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

async function importInto(directory: string, write: (to: Write) => Promise<void>): Promise<void> {
  await run("git", ["init", "-q", "--bare", "--template=", "--initial-branch=main", directory]);
  const git = spawn("git", ["-C", directory, "fast-import", "--quiet", "--done", "--depth=10"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = once(git, "exit") as Promise<[number | null]>;
  const stdin: Writable = git.stdin;
  // A write after git has failed is reported by its exit code below.
  stdin.on("error", () => undefined);
  await write(async (part) => {
    if (!stdin.write(part) && git.exitCode === null) await Promise.race([once(stdin, "drain"), ended]);
  });
  stdin.end("done\n");
  const [code] = await ended;
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`);
}

const author = (minute: number): string =>
  `Robin Example <robin@example.test> ${1_700_000_000 + 60 * minute} +0000`;

async function writeFile(to: Write, path: string, content: string | Uint8Array): Promise<void> {
  await to(`M 100644 inline ${path}\ndata ${Buffer.byteLength(content)}\n`);
  await to(content);
  await to("\n");
}

async function writeCommit(to: Write, branch: string, minute: number, message: string): Promise<void> {
  await to(`commit refs/heads/${branch}\nmark :${minute + 1}\ncommitter ${author(minute)}\n`);
  await to(`data ${Buffer.byteLength(message)}\n${message}\n`);
}

/** Source lines of words from a vocabulary of 2048. */
function sourceText(bytes: (length: number) => Buffer): (words: number) => Buffer {
  const letters = "abcdefghijklmnop";
  const vocabulary = Array.from({ length: 2048 }, () =>
    Array.from(bytes(3 + ((bytes(1)[0] ?? 0) % 8)), (byte) => letters[byte & 15]).join(""),
  );
  return (words) => {
    const choice = bytes(words * 2);
    const line = (at: number): string =>
      vocabulary[choice.readUInt16LE(at * 2) & 2047] + (at % 10 === 9 ? ";\n" : " ");
    return Buffer.from(Array.from({ length: words }, (_, at) => line(at)).join(""));
  };
}

/** Writes a bare repository whose history edits, adds and replaces source files, with three in ten bytes binary. */
export async function generateRepository(directory: string, size: RepositorySize): Promise<void> {
  const bytes = byteStream();
  const text = sourceText(bytes);
  const files = new Map<string, Buffer>();
  const share = (size.megabytes * 1e6) / size.commits;
  // What a byte of this text takes in a pack, measured.
  const packed = 0.55;

  function nextVersion(path: string): Buffer {
    const before = files.get(path);
    const at = before === undefined ? 0 : bytes(4).readUInt32LE() % before.length;
    const content =
      before === undefined
        ? text(900)
        : Buffer.concat([before.subarray(0, at), text(60), before.subarray(at)]);
    files.set(path, content);
    return content;
  }

  await importInto(directory, async (to) => {
    for (let commit = 0; commit < size.commits; commit++) {
      await writeCommit(to, "main", commit, `Change ${commit}`);
      for (let written = 0; written < share * 0.7; ) {
        const path = `src/part${(bytes(1)[0] ?? 0) % 32}/file${bytes(1)[0]}.ts`;
        const content = nextVersion(path);
        written += content.length * packed;
        await writeFile(to, path, content);
      }
      await writeFile(to, `assets/blob${commit % 100}.bin`, bytes(Math.floor(share * 0.3)));
    }
  });
}

/** Writes a bare repository of four commits: three on main, one on feature/greeting, and the annotated tag v1.0. */
export async function tinyRepository(directory: string): Promise<TinyRepository> {
  await importInto(directory, async (to) => {
    await writeCommit(to, "main", 0, "Begin");
    await writeFile(to, "README.md", "# Tiny\n");
    await writeCommit(to, "main", 1, "Add a program");
    await writeFile(to, "src/main.ts", 'console.log("hello");\n');
    await to("reset refs/heads/feature/greeting\nfrom :2\n");
    await writeCommit(to, "main", 2, "Document it");
    await writeFile(to, "README.md", "# Tiny\n\nRun `src/main.ts`.\n");
    await to(`tag v1.0\nfrom :3\ntagger ${author(3)}\ndata 11\nVersion 1.0\n`);
    await writeCommit(to, "feature/greeting", 4, "Greet by name");
    await writeFile(to, "src/main.ts", 'console.log("hello, Robin");\n');
  });
  const [history, feature, tag] = await Promise.all([
    run("git", ["-C", directory, "rev-list", "--reverse", "main"]),
    run("git", ["-C", directory, "rev-parse", "feature/greeting"]),
    run("git", ["-C", directory, "rev-parse", "v1.0"]),
  ]);
  return { commits: history.trim().split("\n"), feature: feature.trim(), tag: tag.trim() };
}
