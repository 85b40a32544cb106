/** The evidence in a session's page, taken out again: for a verifier that does not believe the page around it. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { type Bytes, fromBase64 } from "#durable/proof/bytes.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { isKey } from "#durable/store/key.ts";

export type PageEvidence = { readonly session: SessionId; readonly source: Source };

const BLOCK = /<script type="text\/plain" data-key="([^"<>&]*)">([A-Za-z0-9+/=]*)<\/script>/g;
const FOLDER = /^sessions\/\d{4}\/\d\d\/\d\d\/([^/]+)\/[^/]+$/;

/** Throws as below, and when the file cannot be read. */
export const openPageEvidence = (file: string): PageEvidence => readPageEvidence(readFileSync(file, "utf8"));

/** Throws when the text is no page with the evidence of one session in it, or has an object twice. */
export function readPageEvidence(html: string): PageEvidence {
  const objects = new Map<string, Bytes>();
  for (const [, key = "", base64 = ""] of html.matchAll(BLOCK)) {
    const bytes = fromBase64(base64);
    if (!bytes || !isKey(key)) throw new Error(`the page holds a damaged object: ${JSON.stringify(key)}`);
    if (objects.has(key)) throw new Error(`the page holds two objects ${key}`);
    objects.set(key, bytes);
  }
  const names = new Set([...objects.keys()].flatMap((key) => FOLDER.exec(key)?.[1] ?? []));
  const [session] = [...names].map((name) => v.safeParse(SessionId, name));
  if (names.size !== 1 || !session?.success)
    throw new Error("the page does not hold the evidence of one session");
  return { session: session.output, source: sourceOf(objects) };
}

export function sourceOf(objects: ReadonlyMap<string, Bytes>): Source {
  const keys = [...objects.keys()].sort();
  return {
    get: async (key) => objects.get(key),
    stat: async (key) => {
      const bytes = objects.get(key);
      return bytes && { bytes: bytes.byteLength };
    },
    async *list(prefix) {
      for (const key of keys) if (key.startsWith(prefix)) yield key;
    },
  };
}
