/** The evidence that lies in the page itself: one block of base64 an object, under its archive key. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { type Bytes, fromBase64 } from "#durable/proof/bytes.ts";
import type { Source } from "#durable/proof/read/source.ts";

export type Embedded = {
  readonly session: SessionId;
  readonly objects: ReadonlyMap<string, Bytes>;
  /** Lets the page be drawn between two objects. */
  readonly source: Source;
};

/** Takes the blocks out of the document. Throws a sentence that says why the page holds no evidence. */
export function readEmbedded(page: Document): Embedded {
  const objects = new Map<string, Bytes>();
  for (const block of page.querySelectorAll('script[type="text/plain"][data-key]')) {
    const key = block.getAttribute("data-key") ?? "";
    const bytes = fromBase64(block.textContent.trim());
    block.remove();
    if (!bytes)
      throw new Error(`the object ${JSON.stringify(key)} in this file is damaged: it is not base64`);
    objects.set(key, bytes);
  }
  const folders = [...objects.keys()].flatMap((key) => /^sessions\/.*\/([^/]+)\/[^/]+$/.exec(key)?.[1] ?? []);
  const session = v.safeParse(SessionId, folders[0]);
  if (!session.success || !folders.every((name) => name === folders[0]))
    throw new Error("this file does not hold the objects of one session");
  return { session: session.output, objects, source: sourceOf(objects) };
}

function sourceOf(objects: ReadonlyMap<string, Bytes>): Source {
  const keys = [...objects.keys()].sort();
  return {
    async get(key) {
      await painted();
      return objects.get(key);
    },
    stat: async (key) => {
      const bytes = objects.get(key);
      return bytes && { bytes: bytes.byteLength };
    },
    async *list(prefix) {
      for (const key of keys) if (key.startsWith(prefix)) yield key;
    },
  };
}

let last = 0;
/** A turn of the event loop every few frames, so that a long verification shows that it is under way. */
async function painted(): Promise<void> {
  if (performance.now() - last < 50) return;
  await new Promise((resolve) => setTimeout(resolve));
  last = performance.now();
}
