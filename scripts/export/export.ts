/** `steno export PATH`: one session as a page, as an HTTP Archive, or what it pushed as git bundles. */
import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { openReplay } from "#durable/proof/replay/open.ts";
import type { ReplayItem } from "#durable/proof/replay/replay.ts";
import { isEncrypted } from "#durable/proof/replay/summary.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { findPlace } from "#scripts/verify/place.ts";
import { collectEvidence } from "./evidence.ts";
import { bundlesOf } from "./git-bundle.ts";
import { harOf } from "./har.ts";
import { type SessionPlace, sessionIn } from "./session-place.ts";
import { readPage, writePage } from "./write-page.ts";

const FLAGS = {
  html: "flag",
  har: "flag",
  "git-bundle": "flag",
  session: "text",
  o: "text",
  output: "text",
  endpoint: "text",
  region: "text",
  json: "flag",
} as const;
const FORMS = ["html", "har", "git-bundle"] as const;

/** A browser takes more, but not gladly: its tab holds the text, the bytes and what is shown of them. */
const PAGE_MAX = 64 * 1024 * 1024;

/** What was written where, in the words of `--json` and, with `text`, for people. */
type Exported = { readonly output: string; readonly text: readonly string[] } & Readonly<
  Record<string, unknown>
>;

export async function exportSession(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [path] = rest;
  if (path === undefined) throw new UsageFault("export needs the path of an archive or of a session");
  const [form, ...more] = FORMS.filter((name) => values[name] === true);
  if (form === undefined || more.length > 0)
    throw new UsageFault("say what to export to: one of --html, --har, --git-bundle");
  const { endpoint, region } = values;
  const place = await findPlace(path, { endpoint, region, env: terminal.env });
  const found = await sessionIn(place, values.session);
  const { text, ...exported } = await write(form, found, values.o ?? values.output);
  if (values.json === true) terminal.out(JSON.stringify({ session: found.session, ...exported }));
  else for (const line of text) terminal.out(line);
  return 0;
}

function write(
  form: (typeof FORMS)[number],
  place: SessionPlace,
  output: string | undefined,
): Promise<Exported> {
  switch (form) {
    case "html":
      return exportPage(place, resolve(output ?? `session-${place.session}.steno.html`));
    case "har":
      return exportHar(place, resolve(output ?? `session-${place.session}.har`));
    case "git-bundle":
      return exportBundles(place, resolve(output ?? `session-${place.session}-bundles`));
  }
}

async function exportPage({ source, session }: SessionPlace, output: string): Promise<Exported> {
  const page = readPage();
  const evidence = await collectEvidence(source, session, PAGE_MAX);
  await writeNew(output, writePage(page, evidence));
  const bytes = [...evidence.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const text = [`${evidence.size} objects, ${bytes} bytes, in ${output}`];
  return { output, objects: evidence.size, bytes, text };
}

async function exportHar(place: SessionPlace, output: string): Promise<Exported> {
  const items = await itemsOf(place);
  await writeNew(output, [JSON.stringify(harOf(place.session, items), null, 1)]);
  const entries = items.filter(({ kind }) => kind === "exchange").length;
  return { output, entries, text: [`${entries} exchanges in ${output}`] };
}

async function exportBundles(place: SessionPlace, output: string): Promise<Exported> {
  const { bundles, left } = bundlesOf(await itemsOf(place));
  await mkdir(output, { recursive: true });
  for (const { name, bytes } of bundles) await writeNew(join(output, name), [bytes]);
  const text = [
    ...left.map(({ x, why }) => `${x} left out: ${why}`),
    `${bundles.length} bundles in ${output}`,
  ];
  return { output, bundles: bundles.map(({ name }) => name), left, text };
}

async function itemsOf({ source, session }: SessionPlace): Promise<readonly ReplayItem[]> {
  const opened = await openReplay(source, session);
  if (!opened) throw new Error(`${session} has no head that can be read`);
  const unread = opened.items.find((item) => item.kind === "unread");
  // Other formats have no place for what is missing: nobody would see it.
  if (unread && isEncrypted(unread.object))
    throw new Error(`${unread.object} is encrypted to the auditors: only --html can carry it, unopened`);
  if (unread) throw new Error(`${unread.object} is missing or not as it was sealed: run steno verify`);
  return opened.items;
}

/** Never replaces a file; leaves none that is not whole. */
async function writeNew(path: string, parts: Iterable<string | Uint8Array>): Promise<void> {
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
