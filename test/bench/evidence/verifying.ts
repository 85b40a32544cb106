// `steno verify` on recordings of a gigabyte, beside the least any verifier has to do: inflate them and hash what comes out.
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Archive } from "#test/unit/proof/recording.ts";
import { median, peakMemoryOf, type Row } from "../measure.ts";
import { gitSession, llmSession, mcpSession } from "./sessions.ts";
import type { Tape } from "./tape.ts";

const CLI = join(import.meta.dirname, "../../../scripts/steno.ts");
const RECORDERS = { llm: llmSession, git: gitSession, mcp: mcpSession } as const;
type Kind = keyof typeof RECORDERS;

/** Archives by what is in them: raw megabytes in all, and over how many sessions they are spread. */
export async function measureVerify(directory: string, megabytes: number, rounds: number): Promise<Row[]> {
  const shapes = [
    { name: "LLM, 1 session", kind: "llm", sessions: 1, megabytes },
    { name: "LLM, 16 sessions", kind: "llm", sessions: 16, megabytes },
    { name: "MCP, 1000 sessions", kind: "mcp", sessions: 1_000, megabytes: megabytes / 4 },
    { name: "git, 8 sessions", kind: "git", sessions: 8, megabytes: megabytes / 4 },
  ] as const;
  const rows: Row[] = [];
  for (const { name, ...shape } of shapes) {
    const root = join(directory, `verify-${shape.kind}-${shape.sessions}`);
    const raw = await writeArchive(root, shape);
    const [ours, theirs]: [Ran[], Ran[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      ours.push(await run(process.execPath, [CLI, "verify", root], /^VALID COMPLETE /m));
      theirs.push(await run("sh", ["-c", peer(root)], /^[0-9a-f]{64} /m));
    }
    rmSync(root, { recursive: true });
    const [own, other] = [ours, theirs].map((ran) => median(ran.map(({ seconds }) => seconds))) as [
      number,
      number,
    ];
    rows.push({
      archive: name,
      "raw MB": (raw.lines + raw.chunks) / 1e6,
      "of it frames": raw.lines / 1e6,
      "steno verify MB/s": (raw.lines + raw.chunks) / 1e6 / own,
      "zstdcat and sha256sum MB/s": (raw.lines + raw.chunks) / 1e6 / other,
      "to that": other / own,
      "peak RSS MB": Math.max(...ours.map(({ memory }) => memory)),
    });
  }
  return rows;
}

/** The stored bytes of a session of each kind for every byte that passed. */
export async function measureSizes(megabytes: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of Object.keys(RECORDERS) as Kind[]) {
    const tape = await RECORDERS[kind](new Archive(), 1, megabytes * 1e6);
    const { raw, stored, frames } = tape;
    rows.push({
      session: kind,
      "bodies MB": raw.bodies / 1e6,
      frames: String(frames),
      "lines MB": raw.lines / 1e6,
      "sealed MB": stored / 1e6,
      "sealed to bodies": (stored / raw.bodies).toFixed(4),
    });
  }
  return rows;
}

type Shape = { readonly kind: Kind; readonly sessions: number; readonly megabytes: number };

/** Session by session: what the whole archive takes never lies in memory. */
async function writeArchive(root: string, shape: Shape): Promise<{ lines: number; chunks: number }> {
  const archive = new Archive();
  const raw = { lines: 0, chunks: 0 };
  for (let n = 0; n < shape.sessions; n++) {
    const tape: Tape = await RECORDERS[shape.kind](archive, n, (shape.megabytes * 1e6) / shape.sessions);
    raw.lines += tape.raw.lines;
    raw.chunks += tape.chunks;
    for (const [key, bytes] of archive.objects) {
      mkdirSync(dirname(join(root, key)), { recursive: true });
      writeFileSync(join(root, key), bytes);
      archive.objects.delete(key);
    }
  }
  return raw;
}

const peer = (root: string): string =>
  `find ${root}/sessions -name 'frames-*' | sort | xargs zstdcat | cat - $(find ${root}/sessions -name 'bytes-*' | sort) | sha256sum`;

type Ran = { readonly seconds: number; readonly memory: number };

/** Throws unless it ends well and says what it should. `memory` is the most that was seen of it, in MB. */
async function run(command: string, args: readonly string[], says: RegExp): Promise<Ran> {
  const began = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
  let [out, memory] = ["", 0];
  child.stdout.on("data", (part: Buffer) => {
    out += part.toString();
  });
  const watch = setInterval(() => {
    try {
      memory = Math.max(memory, peakMemoryOf(child.pid ?? 0) || 0);
    } catch {
      // It ended between two looks.
    }
  }, 20);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(watch);
  if (code !== 0 || !says.test(out))
    throw new Error(`${command} ${args.join(" ")}: ${code}\n${out.slice(-1000)}`);
  return { seconds: (performance.now() - began) / 1000, memory };
}
