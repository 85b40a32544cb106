/** From files as they are to files as they are to be, or to why not. Changes nothing. */
import { join } from "node:path";
import { getNodeValue, type Node } from "jsonc-parser";
import type { Wanted } from "./cursor-files.ts";
import type { Disk } from "./disk.ts";
import {
  digestOf,
  elementName,
  leftOf,
  named,
  parseRecord,
  placed,
  type SetupRecord,
  type Written,
} from "./record.ts";
import { Draft } from "./text/draft.ts";
import { add, readObject } from "./text/json-text.ts";

/** One file. What it is to have: additions to its JSON, lines, or all of it. */
export type Part = {
  /** Absolute. */
  readonly path: string;
  /** When it has to be made. */
  readonly mode: number;
} & (
  | { readonly kind: "json"; readonly wanted: (root: Node) => Wanted }
  | { readonly kind: "lines"; readonly text: string }
  | { readonly kind: "own"; readonly text: string }
);

export type Change = {
  readonly path: string;
  readonly mode: number;
  readonly before: string | undefined;
  readonly after: string | undefined;
};

export type Setup = {
  /** The directory that is set up: a person's home, or a project. */
  readonly root: string;
  /** In the order in which they are to be made: what others need comes first. */
  readonly changes: readonly Change[];
  readonly record: { readonly path: string; readonly before: string | undefined };
  /** What is recorded while the changes are under way: every account that may still be true. */
  readonly meanwhile: SetupRecord;
  /** What is recorded then; undefined when nothing is left. */
  readonly afterwards: SetupRecord | undefined;
};

export type Planned = Setup | { readonly no: readonly string[] };

/** What `parts` come to, in place of whatever an earlier setup wrote below `root`. With no parts, all of that is taken out. */
export function planSetup(root: string, parts: readonly Part[], gateway: string, disk: Disk): Planned {
  const at = join(root, ".cursor", "steno.json");
  const recorded = disk.read(at);
  const record = parseRecord(recorded, at);
  const accounts = Map.groupBy(record?.files ?? [], ({ path }) => placed(root, path));
  const no: string[] = [];
  const changes: Change[] = [];
  const files: Written[] = [];
  // What is no longer wanted goes as well, hooks before what they call.
  for (const [path, earlier] of [...accounts].toReversed()) {
    if (parts.some((part) => part.path === path)) continue;
    const before = disk.read(path);
    const left = leftOf(before, earlier, earlier[0]?.kind ?? "own");
    if ("no" in left) no.push(`${path} ${left.no}`);
    else changes.push({ path, mode: 0o644, before, after: left.text });
  }
  for (const part of parts) {
    const { path, mode, kind } = part;
    const before = disk.read(path);
    const earlier = accounts.get(path) ?? [];
    const left = leftOf(before, earlier, kind);
    const made = "no" in left ? left : written(part, left.text);
    if ("no" in made) no.push(`${path} ${made.no}`);
    else if (kind === "json" && before !== made.after && sameJson(before, made.after)) {
      // Laid out by somebody else since, and says what it is to say.
      changes.push({ path, mode, before, after: before });
      files.push(...earlier);
    } else {
      changes.push({ path, mode, before, after: made.after });
      if (made.account) files.push({ ...made.account, path: named(root, path) });
    }
  }
  if (no.length > 0) return { no };
  const known = { version: 1 as const, gateway, directories: record?.directories ?? [] };
  return {
    root,
    changes,
    record: { path: at, before: recorded },
    meanwhile: { ...known, files: [...files, ...(record?.files ?? [])] },
    afterwards: parts.length === 0 ? undefined : { ...known, files },
  };
}

function sameJson(one: string | undefined, other: string | undefined): boolean {
  const [a, b] = [one, other].map((text) => (text === undefined ? "" : readObject(text)));
  return (
    typeof a === "object" && typeof b === "object" && sorted(getNodeValue(a)) === sorted(getNodeValue(b))
  );
}

/** As text, with the members of every object in the order of their names. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    typeof each === "object" && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );

type Made =
  | { readonly after: string | undefined; readonly account: Omit<Written, "path"> | undefined }
  | { readonly no: string };

function written(part: Part, left: string | undefined): Made {
  const draft = new Draft(left ?? "");
  const places: Written["places"] = [];
  const made: string[][] = [];
  switch (part.kind) {
    case "json": {
      if (draft.text.trim() === "") draft.insert(draft.text.length, "{}\n");
      const root = readObject(draft.text);
      if (typeof root === "string") return { no: `${root}: it stays as it is` };
      const wanted = part.wanted(root);
      if ("no" in wanted) return wanted;
      if (wanted.length === 0) return { after: left, account: undefined };
      for (const addition of wanted) {
        const added = add(draft, addition);
        if (typeof added === "string") return { no: `${added}: it stays as it is` };
        made.push(...added.map((path) => [...path]));
        const { at, key, value } = addition;
        const element = key === undefined ? elementName(value) : undefined;
        places.push({
          at: [...at],
          ...(key !== undefined && { key }),
          ...(element !== undefined && { element }),
        });
      }
      break;
    }
    case "lines":
      draft.insert(
        draft.text.length,
        (draft.text === "" || draft.text.endsWith("\n") ? "" : "\n") + part.text,
      );
      break;
    case "own":
      if (left === part.text) return { after: left, account: undefined };
      if (left !== undefined) return { no: "is there already, and not by setup: move it away" };
      draft.insert(0, part.text);
  }
  const inserted = draft.inserted().map(({ at, text }) => ({ at, text }));
  const { kind } = part;
  const [sha256, base] = [digestOf(draft.text), digestOf(left ?? "")];
  const account = { kind, created: left === undefined, sha256, base, inserted, places, made };
  return { after: draft.text, account };
}
