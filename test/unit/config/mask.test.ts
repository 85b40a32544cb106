import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { line } from "#scripts/config/finding.ts";
import { parseSettings } from "#scripts/config/settings.ts";

let base: string;
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "steno-mask-"));
  writeFileSync(join(base, "names.txt"), "# projects\nProject Falcon\n\nHeron\n");
});
afterAll(() => rmSync(base, { recursive: true }));

const said = (text: string): string[] => parseSettings(text, base).findings.map(line);

test("detectors, patterns and dictionaries, in the file or beside it, are what the gateway is given", () => {
  const { settings, findings } = parseSettings(
    `[mask]
detectors = ["secrets", "ticket", "names"]
[[mask.patterns]]
name = "ticket"
pattern = '\\bACME-\\d{4,8}\\b'
severity = "low"
[[mask.dictionaries]]
name = "names"
file = "names.txt"
[[connections]]
name = "web"
kind = "http"
upstream = "http://127.0.0.1:1"
mask = ["email"]
`,
    base,
  );
  expect(findings.map(line)).toEqual([]);
  expect(settings?.mask).toEqual({
    detectors: ["secrets", "ticket", "names"],
    patterns: [{ name: "ticket", pattern: "\\bACME-\\d{4,8}\\b", severity: "low" }],
    dictionaries: [{ name: "names", words: ["Project Falcon", "Heron"], severity: "medium" }],
  });
  expect(settings?.connections[0]?.mask).toEqual(["email"]);
});

test("without a table nothing is hidden", () => {
  expect(parseSettings("", base).settings?.mask).toEqual({ detectors: [], patterns: [], dictionaries: [] });
});

test.each([
  [
    '[mask]\ndetectors = ["sekrets"]',
    'error: steno.toml:2: unknown detector "sekrets", did you mean "secrets"?',
  ],
  [
    '[mask]\ndetector = ["email"]',
    'error: steno.toml:2: unknown key "detector", did you mean "detectors"? (in [mask])',
  ],
  [
    '[[mask.patterns]]\nname = "a"\npattern = "("',
    "error: steno.toml:3: the pattern has a ( that is never closed, at character 2",
  ],
  [
    '[[mask.patterns]]\nname = "a"\npattern = "x*"',
    "error: steno.toml:3: the pattern matches the empty text, which is everywhere",
  ],
  [
    '[[mask.patterns]]\nname = "a"\npattern = "(?=x)y"',
    "error: steno.toml:3: the pattern uses a group of a kind that is not supported (lookahead, lookbehind, flags), at character 2",
  ],
  [
    '[[mask.patterns]]\nname = "A"\npattern = "x"',
    "error: steno.toml:2: name: must be 1 to 63 of a-z 0-9 -, beginning with a letter",
  ],
  [
    '[[mask.patterns]]\nname = "email"\npattern = "x"',
    'error: steno.toml:2: there is already a detector named "email"',
  ],
  [
    '[[mask.patterns]]\nname = "a"\npattern = "x"\nseverty = "low"',
    'error: steno.toml:4: unknown key "severty", did you mean "severity"? (in [[mask.patterns]])',
  ],
  [
    '[[mask.patterns]]\nname = "a"\npattern = "x"\nseverity = "bad"',
    "error: steno.toml:4: severity: must be low, medium, high or critical",
  ],
  ['[[mask.dictionaries]]\nname = "a"', "error: steno.toml:1: a dictionary has either words or a file"],
  ['[[mask.dictionaries]]\nname = "a"\nwords = ["x"]', 'error: steno.toml:1: "x" has not 2 to 200 letters'],
  ['[[mask.dictionaries]]\nname = "a"\nwords = []', "error: steno.toml:1: a dictionary without words"],
  [
    '[[connections]]\nname = "code"\nkind = "git"\nupstream = "http://127.0.0.1:1"\nmask = ["secrets"]',
    "error: steno.toml:5: mask has no effect on a git connection: packs are never changed; deny by findings instead",
  ],
])("%s is wrong, and it is said where and why", (text, expected) => expect(said(text)).toContain(expected));

test("a dictionary whose file is not there is named with the reason, and one that nobody lists is warned about", () => {
  expect(said('[[mask.dictionaries]]\nname = "a"\nfile = "gone.txt"').join()).toMatch(
    /error: steno.toml:1: file: cannot be read: .*ENOENT/,
  );
  expect(said('[[mask.patterns]]\nname = "a"\npattern = "xy"')).toEqual([
    'warning: steno.toml:1: "a" is in no list of detectors: it hides only where a policy names it',
  ]);
});
