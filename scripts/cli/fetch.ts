/** `steno fetch ID`: one session's evidence from the archive, laid out as there, so that `steno verify` can read it. */
import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, SHARDS, sessionFolder } from "#durable/format/layout.ts";
import { isKey } from "#durable/store/key.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";
import { sessionKeys } from "#scripts/archive/session-keys.ts";
import { error, type Finding, line } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { keepInClear } from "#scripts/encrypted/clear-copy.ts";
import { identitiesIn } from "#scripts/encrypted/identity.ts";
import { folderSource as evidenceFolder } from "#scripts/verify/folder.ts";
import { archiveSource, noSource, type Source, strange } from "./archive-source.ts";
import { readFlags, UsageFault } from "./flags.ts";
import { loadOrReport } from "./report.ts";
import { TERMINAL, type Terminal } from "./terminal.ts";

/** Whole, not only the session's own entries: a hole in the log is seen only in the log. */
const SHARED = ["log/", "trust/", SHARDS] as const;
const AT_ONCE = 8;
const TIMEOUT_MS = 60_000;

export type Copied = {
  readonly objects: number;
  readonly bytes: number;
  readonly findings: readonly Finding[];
};

export async function fetchSession(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(
    args,
    { o: "text", output: "text", config: "text", identity: "text", json: "flag" },
    1,
  );
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
  const reader =
    values.identity === undefined ? undefined : await readerOf(settings, values.identity, terminal);
  if (values.identity !== undefined && reader === undefined) return 2;
  const encrypted = await copySession(source, session, directory);
  const copied = reader ? await addClear(encrypted, session, directory, reader) : encrypted;
  if (values.json === true) terminal.out(JSON.stringify({ session, directory, ...copied }));
  else {
    for (const finding of copied.findings) terminal.out(line(finding));
    terminal.out(`${copied.objects} objects, ${copied.bytes} bytes in ${directory}`);
    const identity = values.identity === undefined ? "" : ` --identity ${values.identity}`;
    if (copied.objects > 0)
      terminal.out(`steno verify ${join(directory, sessionFolder(session))}${identity}`);
  }
  return copied.findings.length === 0 ? 0 : 1;
}

/** Who reads encrypted sessions, and where their keys are. */
type Reader = { readonly identities: readonly string[]; readonly keys: KeyStore };

async function readerOf(settings: Settings, path: string, terminal: Terminal): Promise<Reader | undefined> {
  const { findings, store } = sessionKeys(settings.keys, terminal.env, TIMEOUT_MS);
  for (const finding of findings) terminal.err(line(finding));
  return store && { identities: await identitiesIn(path), keys: store };
}

/** What was copied, and what it says in clear, in files of its own. */
export async function addClear(
  copied: Copied,
  session: SessionId,
  directory: string,
  { identities, keys }: Reader,
): Promise<Copied> {
  if (copied.objects === 0) return copied;
  const wrapped = await keys.get(session);
  const keep = (path: string, bytes: Uint8Array) => keepFile(directory, path, bytes, 0o600);
  const clear = await keepInClear(evidenceFolder(directory), wrapped, session, identities, keep);
  return {
    ...copied,
    objects: copied.objects + clear.kept,
    findings: [...copied.findings, ...clear.findings],
  };
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
  return await keepFile(directory, key, bytes, 0o666);
}

async function keepFile(
  directory: string,
  key: string,
  bytes: Uint8Array,
  mode: number,
): Promise<number | Finding> {
  const path = join(directory, key);
  await mkdir(dirname(path), { recursive: true });
  const part = join(dirname(path), `.fetch-${randomBytes(8).toString("hex")}`);
  try {
    await writeFile(part, bytes, { flag: "wx", mode });
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
