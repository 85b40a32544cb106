/** `steno fetch ID`: one session's evidence from the archive, laid out as there, so that `steno verify` can read it. */
import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import { isKey } from "#durable/store/key.ts";
import { error, type Finding, line } from "#scripts/config/finding.ts";
import { archiveSource, noSource, type Source, strange } from "./archive-source.ts";
import { readFlags, UsageFault } from "./flags.ts";
import { loadOrReport } from "./report.ts";
import { TERMINAL, type Terminal } from "./terminal.ts";

/** Whole, not only the session's own entries: a hole in the log is seen only in the log. */
const SHARED = ["log/", "trust/"] as const;
const AT_ONCE = 8;

export type Copied = {
  readonly objects: number;
  readonly bytes: number;
  readonly findings: readonly Finding[];
};

export async function fetchSession(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, { o: "text", output: "text", config: "text", json: "flag" }, 1);
  const parsed = v.safeParse(SessionId, rest[0]);
  if (!parsed.success) throw new UsageFault("which session? its id begins with ses_");
  const session = parsed.output;
  const settings = loadOrReport(values.config);
  if (settings === undefined) return 2;
  const source = archiveSource(settings.archive, terminal.env);
  if (noSource(source)) {
    for (const finding of source) terminal.err(line(finding));
    return 2;
  }
  const directory = resolve(values.o ?? values.output ?? session);
  const copied = await copySession(source, session, directory);
  if (values.json === true) terminal.out(JSON.stringify({ session, directory, ...copied }));
  else {
    for (const finding of copied.findings) terminal.out(line(finding));
    terminal.out(`${copied.objects} objects, ${copied.bytes} bytes in ${directory}`);
    if (copied.objects > 0) terminal.out(`steno verify ${join(directory, sessionFolder(session))}`);
  }
  return copied.findings.length === 0 ? 0 : 1;
}

/** Never replaces a file: what is there with other bytes stays, and is a finding. Throws when the archive fails. */
export async function copySession(source: Source, session: SessionId, directory: string): Promise<Copied> {
  const folder = sessionFolder(session);
  const own = await keys(source, folder);
  if (own.length === 0) {
    return { objects: 0, bytes: 0, findings: [error("archive", `${session} is not there, or not yet`)] };
  }
  const findings: Finding[] = [];
  if (!own.includes(folder + SEAL_NAME)) findings.push(error("archive", `${session} is not sealed yet`));
  const shared = await Promise.all(SHARED.map((prefix) => keys(source, prefix)));
  const all = [...own, ...shared.flat()];
  let objects = 0;
  let bytes = 0;
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const outcomes = await Promise.all(
      all.slice(at, at + AT_ONCE).map((key) => copy(source, key, directory)),
    );
    for (const outcome of outcomes) {
      if (typeof outcome !== "number") findings.push(outcome);
      else {
        objects += 1;
        bytes += outcome;
      }
    }
  }
  return { objects, bytes, findings };
}

async function keys(source: Source, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const key of source.list(prefix)) found.push(key);
  return found;
}

/** The length of what is there now under the key's name, or what is wrong. */
async function copy(source: Source, key: string, directory: string): Promise<number | Finding> {
  // The store is not trusted: a key must not lead out of the directory.
  if (!isKey(key)) return strange(key);
  const bytes = await source.get(key);
  if (!bytes) return error(key, "is listed, but not there");
  const path = join(directory, key);
  await mkdir(dirname(path), { recursive: true });
  const part = join(dirname(path), `.fetch-${randomBytes(8).toString("hex")}`);
  try {
    await writeFile(part, bytes, { flag: "wx" });
    // link(2) never replaces, and nobody sees half a file.
    await link(part, path);
    return bytes.byteLength;
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
    if ((await readFile(path)).equals(bytes)) return bytes.byteLength;
    return error(key, `is in ${directory} already, with other bytes: left as it was`);
  } finally {
    await rm(part, { force: true });
  }
}
