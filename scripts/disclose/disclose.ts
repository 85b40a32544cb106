/** `steno disclose PATH --frame N[,M…]`: frames alone, with proofs, in a directory that `steno verify` and Go's sumdb verify. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import {
  LOG_PQ_VKEY,
  LOG_VKEY,
  SEAL_NAME,
  SEAL_PUB,
  sessionFolder,
  shardFolder,
} from "#durable/format/layout.ts";
import { unsealWith } from "#durable/proof/age/unseal.ts";
import { CannotDisclose, discloseFrames } from "#durable/proof/disclose/disclose-frames.ts";
import { Findings } from "#durable/proof/finding.ts";
import { openHead } from "#durable/proof/seal.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { identitiesIn } from "#scripts/encrypted/identity.ts";
import { keysFor } from "#scripts/encrypted/keys-for.ts";
import { findPlace, type Place } from "#scripts/verify/place.ts";

const FLAGS = {
  frame: "text",
  session: "text",
  identity: "text",
  keys: "text",
  o: "text",
  output: "text",
  endpoint: "text",
  region: "text",
  json: "flag",
} as const;

export async function disclose(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [path] = rest;
  if (path === undefined)
    throw new UsageFault("disclose needs the path of a session, or of an archive and --session");
  const frames = framesOf(values.frame);
  const { endpoint, region } = values;
  const place = await findPlace(path, { endpoint, region, env: terminal.env });
  const folder = folderOf(place, values.session);
  const options = { endpoint, region, env: terminal.env };
  const unseal =
    values.identity === undefined
      ? undefined
      : unsealWith(await keysFor(place, values.keys, options), await identitiesIn(values.identity));
  const directory = resolve(values.o ?? values.output ?? "disclosed");
  const findings = new Findings();
  let files: Map<string, Uint8Array>;
  try {
    files = await discloseFrames({ source: place.source, folder, frames, report: findings.report, unseal });
  } catch (thrown) {
    if (!(thrown instanceof CannotDisclose)) throw thrown;
    for (const { code, object, message } of findings.list())
      terminal.err(oneLine(`${code} ${object}: ${message}`));
    terminal.err(oneLine(`nothing was disclosed: ${thrown.message}`));
    return 1;
  }
  const log = await logOf(place, files.get(SEAL_NAME));
  for (const key of [SEAL_PUB, LOG_VKEY, LOG_PQ_VKEY]) {
    const bytes = await place.source.get(`${log}${key}`);
    if (bytes) files.set(key, bytes);
  }
  for (const [name, bytes] of files) await create(join(directory, name), bytes);
  const names = [...files.keys()];
  if (values.json === true) terminal.out(JSON.stringify({ directory, frames, files: names }));
  else {
    terminal.out(
      `${frames.length === 1 ? "1 frame" : `${frames.length} frames`}, ${names.length} files in ${directory}`,
    );
    terminal.out(`steno verify ${directory}`);
  }
  return 0;
}

/** The folder of the log that the seal is in. */
async function logOf({ source }: Place, seal: Uint8Array | undefined): Promise<string> {
  const { bundle } = seal ? await openHead(seal, undefined) : {};
  const note = bundle?.verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope ?? "";
  const folder = shardFolder(note.slice(0, note.indexOf("\n")));
  return (await source.stat(`${folder}${LOG_VKEY}`)) ? folder : "";
}

function framesOf(text: string | undefined): number[] {
  if (text === undefined) throw new UsageFault("which frames? --frame 12, or --frame 12,17");
  const frames = text
    .split(",")
    .map((each) => (/^(0|[1-9]\d{0,14})$/.test(each) ? Number(each) : Number.NaN));
  if (frames.some(Number.isNaN))
    throw new UsageFault(`--frame ${text} is not a list of frames, such as 12,17`);
  return [...new Set(frames)].sort((a, b) => a - b);
}

/** Where the session's objects are below the place. */
function folderOf(place: Place, session: string | undefined): string {
  const named = session === undefined ? undefined : v.safeParse(SessionId, session);
  if (named?.success === false) throw new UsageFault(`--session ${session} is not a session's id: ses_…`);
  switch (place.kind) {
    case "archive": {
      const only = named?.output ?? place.only;
      if (only === undefined) throw new UsageFault("of which session? give its folder, or --session");
      return sessionFolder(only);
    }
    case "folder":
      return "";
    case "bundle":
    case "disclosed":
      throw new UsageFault("disclose reads the folder of a sealed session");
  }
}

/** A file that is there stays: what was disclosed before may have been given away already. */
async function create(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(path, bytes, { flag: "wx" });
  } catch (cause) {
    throw new Error(`${path} cannot be written: choose another directory with -o`, { cause });
  }
}
