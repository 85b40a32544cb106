/** `steno export PATH --html`: one session as other people read it. */
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { openHead } from "#durable/proof/seal.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { findPlace, type Place } from "#scripts/verify/place.ts";
import { collectEvidence } from "./evidence.ts";
import { readPage, writePage } from "./write-page.ts";

const FLAGS = {
  html: "flag",
  session: "text",
  o: "text",
  output: "text",
  endpoint: "text",
  region: "text",
  json: "flag",
} as const;

/** A browser takes more, but not gladly: its tab holds the text, the bytes and what is shown of them. */
const PAGE_MAX = 64 * 1024 * 1024;

export async function exportSession(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [path] = rest;
  if (path === undefined) throw new UsageFault("export needs the path of an archive or of a session");
  if (values.html !== true) throw new UsageFault("say what to export to: --html");
  const { endpoint, region } = values;
  const place = await findPlace(path, { endpoint, region, env: terminal.env });
  const { session, source } = await sessionIn(place, values.session);
  const output = resolve(values.o ?? values.output ?? `session-${session}.steno.html`);
  const page = readPage();
  const evidence = await collectEvidence(source, session, PAGE_MAX);
  await writeNew(output, writePage(page, evidence));
  const bytes = [...evidence.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (values.json === true) terminal.out(JSON.stringify({ session, output, objects: evidence.size, bytes }));
  else terminal.out(`${evidence.size} objects, ${bytes} bytes, in ${output}`);
  return 0;
}

/** Never replaces a file; leaves none that is not whole. */
async function writeNew(path: string, parts: Iterable<string>): Promise<void> {
  const file = createWriteStream(path, { flags: "wx" });
  try {
    await pipeline(parts, file);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST")
      throw new Error(`${path} is there already: it is left as it was`, { cause });
    await rm(path, { force: true });
    throw new Error(`${path} cannot be written`, { cause });
  }
}

type Found = { readonly session: SessionId; readonly source: Source };

async function sessionIn(place: Place, named: string | undefined): Promise<Found> {
  const wanted = named === undefined ? undefined : v.safeParse(SessionId, named);
  if (wanted && !wanted.success) throw new UsageFault("which session? its id begins with ses_");
  switch (place.kind) {
    case "archive": {
      const session = wanted?.output ?? place.only ?? (await onlySession(place.source));
      return { session, source: place.source };
    }
    case "bundle":
      throw new UsageFault("that is one head: give the session's folder, or the archive it is in");
    case "folder": {
      const session = wanted?.output ?? place.session ?? (await sealedSession(place.source));
      return { session, source: within(place.source, sessionFolder(session)) };
    }
  }
}

/** The session of an archive that holds one, as `steno fetch` makes it. */
async function onlySession(source: Source): Promise<SessionId> {
  const names = new Set<string>();
  for await (const key of source.list("sessions/")) {
    names.add(/\/(ses_[^/]+)\/[^/]+$/.exec(key)?.[1] ?? "");
    if (names.size > 1) throw new UsageFault("there is more than one session: say which with --session ID");
  }
  const parsed = v.safeParse(SessionId, [...names][0]);
  if (!parsed.success) throw new Error("there is no session");
  return parsed.output;
}

async function sealedSession(source: Source): Promise<SessionId> {
  const seal = await source.get(SEAL_NAME);
  const session = seal && (await openHead(seal, undefined)).statement?.predicate.session;
  if (!session)
    throw new UsageFault("the seal does not say whose it is: say which session with --session ID");
  return session;
}

/** A session's folder on its own, read as if it lay in an archive. */
function within(source: Source, folder: string): Source {
  const inner = (key: string) => (key.startsWith(folder) ? key.slice(folder.length) : key);
  return {
    get: (key) => source.get(inner(key)),
    stat: (key) => source.stat(inner(key)),
    async *list(prefix) {
      if (!prefix.startsWith(folder)) yield* source.list(prefix);
      else
        for await (const key of source.list(prefix.slice(folder.length)))
          if (!key.includes("/")) yield `${folder}${key}`;
    },
  };
}
