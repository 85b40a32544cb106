/** What a push adds of what the detectors found in it: not what the server has in the same file already. */
import { SEVERITIES, type Severity } from "#durable/format/decision.ts";
import type { ChangedPath, Changes, PushFinding } from "#durable/format/frame.ts";
import { PRESIDIO } from "#workers/mask/analysis/analysis.ts";
import { Detection, type Found } from "#workers/mask/detect.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import type { KnownObjects } from "../change/known-objects.ts";
import { isZero } from "../history/ref-update.ts";
import type { ScannedContent } from "./content-scan.ts";

/** Old versions that are looked into, and findings in one of them: beyond these, what is found counts as new. */
const VERSIONS_MAX = 64;
const OLD_FINDINGS_MAX = 10_000;
/** Places a refusal names. */
const NAMED_MAX = 3;
const PATH_SHOWN = 120;
const SUBMODULE = "160000";

/** Where an object with findings is: `refs` are those that bring it there; undefined when any commit of the push does. */
type Place = { readonly path: string; readonly added: boolean; readonly ref: string | undefined };
type NewFinding = { readonly finding: PushFinding; readonly refs: ReadonlySet<string> | undefined };
/** What is known of the files of the server: whether a path had the same text in it before. */
export type Before = (path: string, added: boolean, found: Found) => boolean;

export class NewFindings {
  readonly unscanned: number;
  /** How many more there are than are told. */
  readonly omitted: number;
  readonly #all: readonly NewFinding[];
  readonly #more: ScannedContent["more"];

  /** Without `before` all that was found counts. */
  constructor(scanned: ScannedContent, changes: readonly Changes[], before: Before = () => false) {
    const places = placesOf(scanned, changes);
    this.#more = scanned.more;
    this.unscanned = scanned.unscanned;
    this.omitted = [...scanned.more.values()].reduce((sum, { count }) => sum + count, 0);
    this.#all = [...scanned.objects].flatMap(([object, { found }]) =>
      found.flatMap((one): NewFinding[] => {
        const { sha256, ...finding } = one;
        const told = { ...finding, object, digest: sha256 };
        const known = places.get(object);
        if (!known) return [{ finding: told, refs: undefined }];
        const here = known.filter(({ path, added }) => !before(path, added, one));
        const [first] = here;
        if (!first) return [];
        const refs = here.flatMap(({ ref }) => ref ?? []);
        const everywhere = refs.length < here.length;
        return [{ finding: { ...told, path: first.path }, refs: everywhere ? undefined : new Set(refs) }];
      }),
    );
  }

  get found(): readonly PushFinding[] {
    return this.#all.map(({ finding }) => finding);
  }

  /** Names of the detectors that found something in what a ref brings, and the highest severity: 0 nothing to 4 critical. */
  of(ref: string): { readonly findings: readonly string[]; readonly severity: number } {
    const own = this.#of(ref);
    const severities = [...own, ...this.#more.values()].map(({ severity }) => rank(severity));
    const names = own.flatMap(({ detector, rule }) =>
      detector === PRESIDIO ? [detector, `${detector}:${rule}`] : [detector],
    );
    const findings = [...new Set([...names, ...this.#more.keys()])].sort();
    return { findings, severity: Math.max(0, ...new Set(severities)) };
  }

  /** Where it is, the most severe first: what somebody needs to take it out. */
  named(ref: string): string | undefined {
    const places = this.#of(ref)
      .toSorted((a, b) => rank(b.severity) - rank(a.severity))
      .map(({ detector, rule, path, object }) => {
        const where = path ?? `object ${object.slice(0, 12)}`;
        const short = where.length > PATH_SHOWN ? `…${where.slice(1 - PATH_SHOWN)}` : where;
        return `${short} (${rule === detector ? detector : `${detector}: ${rule}`})`;
      });
    const all = [...new Set(places)];
    if (all.length === 0) return undefined;
    const rest = all.length - NAMED_MAX;
    return `found in ${all.slice(0, NAMED_MAX).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
  }

  #of(ref: string): readonly PushFinding[] {
    return this.#all.filter(({ refs }) => !refs || refs.has(ref)).map(({ finding }) => finding);
  }
}

const rank = (severity: Severity): number => SEVERITIES.indexOf(severity) + 1;

function placesOf(
  { objects }: ScannedContent,
  changes: readonly Changes[],
): ReadonlyMap<string, readonly Place[]> {
  const places = new Map<string, Place[]>();
  for (const { ref, paths } of changes)
    for (const { path, ids, status } of paths) {
      const [, next] = ids;
      if (!objects.has(next)) continue;
      const known = places.get(next) ?? [];
      places.set(next, known);
      known.push({ path, added: status === "A", ref });
    }
  return places;
}

/**
 * Versions of the server's own, by path: an object that the push does not bring is one that the server has, or it would not take
 * the push. Of files that are added, those that are deleted: they may have been renamed.
 */
class OldVersions {
  readonly #byPath = new Map<string, Set<string>>();
  readonly #deleted = new Set<string>();

  constructor(scanned: ScannedContent, changes: readonly Changes[], objects: KnownObjects) {
    const places = [...placesOf(scanned, changes).values()].flat();
    const paths = new Set(places.filter(({ added }) => !added).map(({ path }) => path));
    const renamed = places.some(({ added }) => added);
    for (const change of changes.flatMap((each) => each.paths)) {
      const ids = upstream(change, objects);
      if (paths.has(change.path))
        this.#byPath.set(change.path, new Set([...(this.#byPath.get(change.path) ?? []), ...ids]));
      if (renamed && change.status === "D") for (const id of ids) this.#deleted.add(id);
    }
  }

  of(path: string, added: boolean): Iterable<string> {
    return added ? this.#deleted : (this.#byPath.get(path) ?? []);
  }

  get all(): readonly string[] {
    return [...new Set([...[...this.#byPath.values()].flatMap((ids) => [...ids]), ...this.#deleted])].slice(
      0,
      VERSIONS_MAX,
    );
  }
}

const upstream = ({ ids, modes }: ChangedPath, objects: KnownObjects): readonly string[] =>
  ids.filter((id, i) => !isZero(id) && modes[i] !== SUBMODULE && objects.kindInPack(id) === undefined);

/** Old versions that have to be known to tell what is new, and are not. */
export async function unknownVersions(
  scanned: ScannedContent,
  changes: readonly Changes[],
  objects: KnownObjects,
): Promise<readonly string[]> {
  const unknown: string[] = [];
  for (const id of new OldVersions(scanned, changes, objects).all)
    if (!(await objects.get("blob", id))) unknown.push(id);
  return unknown;
}

/** As the server has a text in any place of its version: whoever moves it brings nothing new. */
function* wordsIn(content: Uint8Array, words: ReadonlyMap<string, string>): Iterable<string> {
  if (words.size === 0) return;
  const text = new TextDecoder().decode(content);
  for (const [key, word] of words) if (text.includes(word)) yield key;
}

/** What is new, against the old versions that are known. What has none counts as new. */
export async function newFindings(
  scanned: ScannedContent,
  changes: readonly Changes[],
  objects: KnownObjects,
  rules: Rules,
): Promise<NewFindings> {
  const versions = new OldVersions(scanned, changes, objects);
  const had = new Map<string, ReadonlySet<string>>();
  for (const id of versions.all) {
    const content = await objects.get("blob", id);
    if (content)
      had.set(id, new Set([...textsIn(content, rules), ...wordsIn(content, scanned.words ?? NONE)]));
  }
  return new NewFindings(scanned, changes, (path, added, found) =>
    [...versions.of(path, added)].some((id) => had.get(id)?.has(keyOf(found))),
  );
}

const NONE: ReadonlyMap<string, string> = new Map();

export const keyOf = ({ rule, sha256 }: Found): string => `${rule} ${sha256}`;

function textsIn(content: Uint8Array, rules: Rules): ReadonlySet<string> {
  const texts = new Set<string>();
  const detection = new Detection(rules, (found) => {
    if (texts.size < OLD_FINDINGS_MAX) texts.add(keyOf(found));
  });
  detection.push(content);
  detection.end();
  return texts;
}
