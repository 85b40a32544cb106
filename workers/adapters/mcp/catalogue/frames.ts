/** Frames about a list, each of a line's length: what the upstream sent, and what of it was shown. */
import type { CatalogueFrame, CatalogueItem, ListKind } from "#durable/format/catalogue/catalogue.ts";

type Contained = { readonly k: "catalogue" } & (
  | { readonly list: ListKind; readonly items: readonly CatalogueItem[] }
  | { readonly unread: string; readonly text?: string }
);
export type CatalogueContained = Contained extends Omit<CatalogueFrame, "x"> ? Contained : never;

/** UTF-16 code units of a text that one line has room for, whatever JSON makes of them. */
const TEXT_MAX = 6_000;
/** Bytes of JSON of a frame's items. */
const ITEMS_MAX = 50_000;

export function listFrames(list: ListKind, items: readonly CatalogueItem[]): readonly CatalogueContained[] {
  const frames: CatalogueContained[] = [];
  let row: CatalogueItem[] = [];
  let room = ITEMS_MAX;
  for (const item of items.flatMap(piecesOf)) {
    const size = new TextEncoder().encode(JSON.stringify(item)).byteLength + 1;
    if (size > room && row.length > 0) {
      frames.push({ k: "catalogue", list, items: row });
      [row, room] = [[], ITEMS_MAX];
    }
    row.push(item);
    room -= size;
  }
  return [...frames, { k: "catalogue", list, items: row }];
}

/** Of a message that could not be read; `text` is undefined where bodies are not kept. */
export function unreadFrames(why: string, text: string | undefined): readonly CatalogueContained[] {
  const unread = why.slice(0, 500);
  if (text === undefined || text === "") return [{ k: "catalogue", unread }];
  return cut(text).map((piece) => ({ k: "catalogue", unread, text: piece }));
}

function piecesOf(item: CatalogueItem): readonly CatalogueItem[] {
  const { text } = item;
  return text === undefined ? [item] : cut(text).map((piece) => ({ ...item, text: piece }));
}

function cut(text: string): readonly string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += TEXT_MAX) pieces.push(text.slice(at, at + TEXT_MAX));
  return pieces;
}
