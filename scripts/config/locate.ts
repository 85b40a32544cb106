/** Where in a TOML text a key stands, so that a finding can name the line. */

export type KeyPath = readonly (string | number)[];

/** The 1-based line of the key at `path`, or of the innermost table or key around it; 1 when there is none. */
export function locate(text: string, path: KeyPath): number {
  let line = 1;
  let depth = 0;
  for (const place of places(text)) {
    const within = place.path.length <= path.length && place.path.every((part, i) => part === path[i]);
    if (within && place.path.length > depth) {
      line = place.line;
      depth = place.path.length;
    }
  }
  return line;
}

type Place = { readonly path: KeyPath; readonly line: number };

const HEADER = /^\s*(\[\[?)([^\]]+)\]\]?\s*(?:#.*)?$/;
const KEY = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/;

function* places(text: string): Generator<Place> {
  let table: KeyPath = [];
  const counts = new Map<string, number>();
  let quoted = "";
  for (const [i, line] of text.split("\n").entries()) {
    const before = quoted;
    quoted = leftOpen(line, quoted);
    if (before !== "") continue;
    const header = HEADER.exec(line);
    if (header !== null) {
      const names = parts(header[2] ?? "");
      table = header[1] === "[[" ? [...names, nextIndex(counts, names)] : names;
      yield { path: table, line: i + 1 };
      continue;
    }
    const key = KEY.exec(line);
    if (key !== null) yield { path: [...table, ...parts(key[1] ?? "")], line: i + 1 };
  }
}

function nextIndex(counts: Map<string, number>, names: KeyPath): number {
  const name = names.join(".");
  const index = counts.get(name) ?? 0;
  counts.set(name, index + 1);
  return index;
}

const parts = (dotted: string): string[] =>
  [...dotted.matchAll(/[\w-]+|"[^"]*"|'[^']*'/g)].map(([part]) => part.replaceAll(/^["']|["']$/g, ""));

/** The multi-line string delimiter that is still open after `line`, or "". */
function leftOpen(line: string, open: string): string {
  let now = open;
  for (const [mark] of line.matchAll(/"""|'''/g)) {
    if (now === "") now = mark;
    else if (now === mark) now = "";
  }
  return now;
}
