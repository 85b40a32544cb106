/** The auditor's single file: the built page with one session's evidence in it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toBase64 } from "#durable/proof/bytes.ts";
import { EVIDENCE_MARK } from "./bundle-page.ts";
import type { Evidence } from "./evidence.ts";

export const PAGE_NAME = "page.html";
const DIST = join(import.meta.dirname, "../../dist");

/** Throws when the page has not been built. */
export function readPage(dist = DIST): string {
  const path = join(dist, PAGE_NAME);
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new Error(`${path} is missing: run npm run build`, { cause });
  }
}

/** In pieces, since the whole may be longer than a string may be. Each object is a block that no browser runs. */
export function* writePage(page: string, evidence: Evidence): Generator<string> {
  const [before = "", after = "", ...more] = page.split(EVIDENCE_MARK);
  if (after === "" || more.length > 0)
    throw new Error("the page has no one place for evidence: run npm run build");
  yield before;
  for (const [key, bytes] of evidence)
    yield `<script type="text/plain" data-key="${key}">${toBase64(bytes)}</script>\n`;
  yield after;
}
