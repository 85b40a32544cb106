/** Histories from a seed, for comparing what is read here with what git itself says. */
import { gitBytes, type Workspace, working } from "../repository.ts";

type Bytes = Uint8Array<ArrayBuffer>;
export type Format = "sha1" | "sha256";

/** Numbers that are the same for the same seed (mulberry32). */
export function numbers(seed: number): (below: number) => number {
  let state = (seed + 1) * 0x9e3779b9;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NAMES = [
  "a",
  "b.txt",
  "Zoë",
  "src",
  "src.c",
  "src-x",
  "lib",
  "deep",
  "tab\there",
  'quote"d',
  "ünïcode ☃",
];
const MODES = ["100644", "100644", "100644", "100755", "120000"];

/** What fast-import reads: files come, change, go, change their mode, become folders and the other way round. */
export function script(seed: number, commits: number): string {
  const pick = numbers(seed);
  const lines: string[] = [];
  const path = (): string =>
    Array.from({ length: 1 + pick(3) }, () => NAMES[pick(NAMES.length)] ?? "a").join("/");
  const quoted = (text: string): string =>
    `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\t", "\\t")}"`;
  for (let i = 1; i <= commits; i++) {
    const branch = i > 3 && pick(4) === 0 ? "side" : "main";
    const message = `Commit ${i} of ${seed}\n`;
    lines.push(`commit refs/heads/${branch}`, `mark :${i}`);
    lines.push(`author Zoë ${i} <zoe@example.test> ${1_700_000_000 + i} +0100`);
    lines.push(`committer Ada <ada@example.test> ${1_700_000_000 + i * 60} +0000`);
    lines.push(`data ${Buffer.byteLength(message)}`, message);
    if (branch === "main" && lines.includes("commit refs/heads/side") && pick(5) === 0)
      lines.push("merge refs/heads/side");
    for (let change = pick(4) + (i === 1 ? 5 : 0); change >= 0; change--) {
      const where = quoted(path());
      if (i > 1 && pick(4) === 0) {
        lines.push(`D ${where}`);
        continue;
      }
      const content = `${"a line that is here again\n".repeat(pick(60))}${pick(9)}\n${seed}\n`;
      lines.push(
        `M ${MODES[pick(MODES.length)]} inline ${where}`,
        `data ${Buffer.byteLength(content)}`,
        content,
      );
    }
  }
  // A side branch must exist to be named.
  if (!lines.includes("commit refs/heads/side")) lines.push("reset refs/heads/side", "from refs/heads/main");
  return `${lines.join("\n")}\n`;
}

export async function imported(
  workspace: Workspace,
  seed: number,
  commits: number,
  format: Format = "sha1",
): Promise<string> {
  const path = await working(workspace, `made-${format}-${seed}`, format);
  await gitBytes(workspace, path, ["fast-import", "--quiet", "--force"], script(seed, commits));
  return path;
}

export async function packOf(
  workspace: Workspace,
  path: string,
  revisions: string,
  ...options: string[]
): Promise<Bytes> {
  const args = ["pack-objects", "--stdout", "--revs", "-q", "--depth=50", "--window=50", ...options];
  return new Uint8Array(await gitBytes(workspace, path, args, revisions));
}
