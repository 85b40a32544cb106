/** ARCHITECTURE §4, executed: the layer table, purity, and the sizes and names of the house rules. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { transformSync } from "esbuild";
import { describe, expect, test } from "vitest";

/** Path to text, of every source file and README. */
type Tree = ReadonlyMap<string, string>;

const ROOT = join(import.meta.dirname, "..");
const SOURCES = ["durable", "workers", "scripts"];

function read(directories: readonly string[], pattern: RegExp): Tree {
  const paths = directories.flatMap((directory) =>
    readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
      .filter((path) => pattern.test(path))
      .map((path) => `${directory}/${path}`),
  );
  return new Map(paths.toSorted().map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

/** The table: what belongs to a row, and which folders of its own row it may import besides itself. */
const ROWS: readonly (readonly { readonly folder: RegExp; readonly beside?: RegExp }[])[] = [
  [{ folder: /^durable\/format\// }],
  [{ folder: /^durable\/proof\// }, { folder: /^durable\/store\//, beside: /^durable\/proof\// }],
  [
    { folder: /^durable\/custody\// },
    { folder: /^durable\/approval\// },
    { folder: /^durable\/catalogue\// },
  ],
  [
    { folder: /^durable\/[^/]+$/, beside: /^durable\/(session|budget)\// },
    { folder: /^durable\/budget\//, beside: /^durable\/[^/]+$/ },
    { folder: /^durable\/session\//, beside: /^durable\/[^/]+$/ },
  ],
  [
    { folder: /^workers\/contract\// },
    { folder: /^workers\/wire\//, beside: /^workers\/contract\// },
    { folder: /^workers\/policy\//, beside: /^workers\/contract\// },
    { folder: /^workers\/mask\//, beside: /^workers\/contract\// },
  ],
  [
    { folder: /^workers\/adapters\/[^/]+$/ },
    { folder: /^workers\/adapters\/[^/]+\//, beside: /^workers\/adapters\/[^/]+$/ },
    { folder: /^workers\/identity\// },
    { folder: /^workers\/vault\// },
  ],
  [
    { folder: /^workers\/pipeline\// },
    { folder: /^workers\/portal\// },
    { folder: /^workers\/api\// },
    { folder: /^workers\/recorder\// },
  ],
  [
    { folder: /^workers\/[^/]+$/, beside: /^workers\/approvals\// },
    { folder: /^workers\/approvals\//, beside: /^workers\/[^/]+$/ },
  ],
  [{ folder: /^scripts\// }],
];

/** Row 7 is outside the workers: it shares their words, their proofs and their policy, and nothing that runs there. */
const OPEN_TO_SCRIPTS =
  /^(scripts|durable\/format|durable\/proof|durable\/store|workers\/policy|workers\/mask|workers\/contract)\//;

/** What runs in an auditor's browser has nothing of Node but what it brings itself. */
const PAGE = /^scripts\/export\/page\//;
const OPEN_TO_PAGE = /^(scripts\/export\/page|durable\/format|durable\/proof)\//;

const rowOf = (path: string) => ROWS.findIndex((row) => row.some(({ folder }) => folder.test(path)));

/** Every module a file names: import, import type, export from, import(), typeof import(). */
function imports(text: string): string[] {
  const pattern = /\bfrom\s*["']([^"']+)["']|\bimport\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

function resolve(from: string, to: string): string | undefined {
  if (to.startsWith("#")) return to.slice(1);
  return to.startsWith(".") ? normalize(join(dirname(from), to)) : undefined;
}

function upwardImports(tree: Tree): string[] {
  const wrong: string[] = [];
  for (const [path, text] of tree) {
    for (const specifier of imports(text)) {
      const target = resolve(path, specifier);
      if (target === undefined || target.endsWith(".wasm")) continue;
      if (!allowed(path, target)) wrong.push(`${path} imports ${target}`);
    }
  }
  return wrong;
}

function allowed(from: string, to: string): boolean {
  const own = rowOf(from);
  const other = rowOf(to);
  if (own === -1 || other === -1) return false;
  if (PAGE.test(from)) return OPEN_TO_PAGE.test(to);
  if (from.startsWith("scripts/")) return OPEN_TO_SCRIPTS.test(to);
  if (other !== own) return other < own;
  const place = ROWS[own]?.find(({ folder }) => folder.test(from));
  return dirname(to) === dirname(from) || within(from, to, place?.folder) || place?.beside?.test(to) === true;
}

/** Both below the same folder of the table: for adapters the same kind. */
function within(from: string, to: string, folder: RegExp | undefined): boolean {
  const own = folder?.exec(from)?.[0];
  return own?.endsWith("/") === true && to.startsWith(own);
}

const PURE =
  /^(durable\/format|durable\/proof|workers\/policy|workers\/mask|workers\/wire|workers\/contract)\//;
const IMPURE: readonly [string, RegExp][] = [
  ["calls fetch", /(?<![.\w])fetch\(/],
  ["reads the clock", /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/],
  ["draws random numbers", /\bMath\.random\(|\bgetRandomValues\(|\brandomBytes\(|\brandomUUID\(/],
  ["reads env", /(?<![."'\w-])env\b(?!["'])/],
  ["imports cloudflare:", /["']cloudflare:/],
];

/** Without comments and types: what runs. */
const running = (path: string, text: string): string =>
  transformSync(text, { loader: path.endsWith("x") ? "tsx" : "ts", legalComments: "none", target: "esnext" })
    .code;

const impurities = (tree: Tree): string[] =>
  [...tree]
    .filter(([path]) => PURE.test(path))
    .flatMap(([path, text]) =>
      IMPURE.filter(
        ([, sign]) => sign.test(running(path, text)) || (/cloudflare/.test(sign.source) && sign.test(text)),
      ).map(([what]) => `${path} ${what}`),
    );

/** Bindings have upper-case names; what `env.ts` has parsed of them has not. */
const ENV_READ = /\benv\s*(?:\?\.|\.)\s*[A-Z]|\benv\s*(?:\?\.\s*)?\[/;
const envReaders = (tree: Tree): string[] =>
  [...tree]
    .filter(([path]) => !path.startsWith("scripts/") && path !== "workers/env.ts")
    .filter(([path, text]) => ENV_READ.test(running(path, text)))
    .map(([path]) => path);

const barrels = (tree: Tree): string[] =>
  [...tree]
    .filter(([path, text]) => /(^|\/)index\.tsx?$/.test(path) || /^export \*/m.test(text))
    .map(([path]) => path);

const LINES = 400;
const tooLong = (tree: Tree): string[] =>
  [...tree].filter(([, text]) => text.split("\n").length - 1 > LINES).map(([path]) => path);

const FOLDER = 10;
function folders(tree: Tree): Map<string, string[]> {
  return Map.groupBy(tree.keys(), (path) => dirname(path));
}
const crowded = (tree: Tree): string[] =>
  [...folders(tree)]
    .filter(([, paths]) => paths.length > FOLDER)
    .map(([folder, { length }]) => `${folder}: ${length}`);

function readmes(tree: Tree, found: Tree): string[] {
  return [...folders(tree).keys()].flatMap((folder) => {
    const text = found.get(`${folder}/README.md`);
    if (text === undefined) return [`${folder} has no README.md`];
    const lines = text.split("\n").length - 1;
    return lines > 40 ? [`${folder}/README.md has ${lines} lines`] : [];
  });
}

const BANNED = /^(utils?|helpers?|managers?|services?|handlers?|common|misc|data|infos?|process(es)?)$/i;
const badNames = (tree: Tree): string[] =>
  [...tree.keys()].filter((path) => path.split(/[/.\-_]|(?=[A-Z])/).some((word) => BANNED.test(word)));

const tree = read(SOURCES, /\.tsx?$/);
const tests = read(["test"], /\.tsx?$/);

describe("the tree", () => {
  test("is not empty, so that these tests are about something", () => {
    expect(tree.size).toBeGreaterThan(20);
    expect(tests.size).toBeGreaterThan(5);
  });

  test("every file stands in a row of the table", () => {
    expect([...tree.keys()].filter((path) => rowOf(path) === -1)).toEqual([]);
  });

  test("imports point down the layer table only", () => {
    expect([...tree.values()].flatMap(imports).length).toBeGreaterThan(50);
    expect(upwardImports(tree)).toEqual([]);
  });

  test("format, proof, policy, wire and contract are pure", () => {
    expect([...tree.keys()].filter((path) => PURE.test(path)).length).toBeGreaterThan(5);
    expect(impurities(tree)).toEqual([]);
  });

  test("env is read in workers/env.ts only", () => expect(envReaders(tree)).toEqual([]));
  test("there are no barrels", () => expect(barrels(tree)).toEqual([]));
  test("no file has more than 400 lines, tests included", () =>
    expect(tooLong(new Map([...tree, ...tests]))).toEqual([]));
  test("no folder holds more than 10 source files", () => expect(crowded(tree)).toEqual([]));
  test("file names use none of the words that mean nothing", () => expect(badNames(tree)).toEqual([]));

  test("each source folder says in at most 40 lines what lives there", () => {
    expect(readmes(tree, read(SOURCES, /README\.md$/))).toEqual([]);
  });
});

describe("the checks find what they are for", () => {
  const planted = (path: string, text: string): Tree => new Map([[path, text]]);

  test.each([
    ["durable/format/a.ts", 'import { x } from "#durable/proof/x.ts";'],
    ["durable/format/a.ts", 'import type { X } from "#workers/contract/x.ts";'],
    ["durable/proof/a.ts", 'export { x } from "../store/x.ts";'],
    ["durable/session.ts", 'const x = await import("#workers/env.ts");'],
    ["durable/session.ts", 'type X = typeof import("#scripts/build.ts");'],
    ["workers/contract/a.ts", 'import "#workers/policy/x.ts";'],
    ["workers/wire/a.ts", 'import {\n  x,\n} from "#workers/identity/x.ts";'],
    ["workers/adapters/git/a.ts", 'import { x } from "#workers/adapters/mcp/x.ts";'],
    ["workers/adapters/git/a.ts", 'import { x } from "../mcp/x.ts";'],
    ["workers/adapters/adapter.ts", 'import { x } from "./git/x.ts";'],
    ["workers/identity/a.ts", 'import { x } from "#workers/vault/x.ts";'],
    ["workers/pipeline/a.ts", 'import { x } from "#workers/portal/x.ts";'],
    ["workers/api/a.ts", 'import { x } from "#workers/env.ts";'],
    ["workers/gateway.ts", 'import { x } from "#scripts/build.ts";'],
    ["scripts/cli/a.ts", 'import { x } from "#workers/pipeline/x.ts";'],
    ["scripts/cli/a.ts", 'import { x } from "#durable/session.ts";'],
    ["scripts/cli/a.ts", 'import { x } from "#test/support/x.ts";'],
    ["scripts/export/page/view/a.ts", 'import { x } from "#scripts/verify/folder.ts";'],
    ["scripts/export/page/a.ts", 'import { x } from "#durable/store/key.ts";'],
  ])("%s must not say %s", (path, text) => expect(upwardImports(planted(path, text))).toHaveLength(1));

  test.each([
    ["durable/store/a.ts", 'import { x } from "#durable/proof/x.ts";'],
    ["workers/adapters/git/a.ts", 'import type { X } from "../adapter.ts";'],
    ["workers/adapters/git/deep/a.ts", 'import type { X } from "../pack.ts";'],
    ["workers/policy/a.ts", 'import type { X } from "#workers/contract/x.ts";'],
    ["workers/gateway.ts", 'import { x } from "./env.ts";'],
    ["scripts/cli/a.ts", 'import { x } from "#workers/policy/x.ts";'],
    ["scripts/export/page/view/a.ts", 'import { x } from "../node/zlib.ts";'],
  ])("%s may say %s", (path, text) => expect(upwardImports(planted(path, text))).toEqual([]));

  test.each([
    "export const a = await fetch(url);",
    "export const a = Date.now();",
    "export const a = new Date();",
    "export const a = Math.random();",
    "export const a = env.KEY;",
    'import type { X } from "cloudflare:workers";',
  ])("pure code must not say %s", (text) =>
    expect(impurities(planted("workers/policy/a.ts", text))).toHaveLength(1),
  );

  test("pure code may speak of fetch and env in comments", () => {
    expect(
      impurities(planted("durable/format/a.ts", "/** No fetch(, no env, no Date.now(). */\nexport {};")),
    ).toEqual([]);
  });

  test("an env read outside workers/env.ts, a barrel, a crowd, a long file, a bad name and a lost README are found", () => {
    expect(envReaders(planted("workers/gateway.ts", "export const a = this.env.KEY;"))).toHaveLength(1);
    expect(envReaders(planted("durable/session.ts", 'export const a = (env) => env["KEY"];'))).toHaveLength(
      1,
    );
    expect(envReaders(planted("durable/session.ts", "export const a = (env) => open(env).key;"))).toEqual([]);
    expect(barrels(planted("workers/wire/index.ts", ""))).toHaveLength(1);
    expect(barrels(planted("workers/wire/a.ts", 'export * from "./b.ts";'))).toHaveLength(1);
    expect(crowded(new Map(Array.from({ length: 11 }, (_, i) => [`workers/wire/${i}.ts`, ""])))).toHaveLength(
      1,
    );
    expect(tooLong(planted("a.ts", "\n".repeat(401)))).toHaveLength(1);
    expect(badNames(planted("workers/git-utils.ts", ""))).toHaveLength(1);
    expect(badNames(planted("workers/requestHandler.ts", ""))).toHaveLength(1);
    expect(badNames(planted("workers/database.ts", ""))).toEqual([]);
    expect(readmes(planted("workers/wire/a.ts", ""), new Map())).toHaveLength(1);
    expect(
      readmes(planted("workers/wire/a.ts", ""), planted("workers/wire/README.md", "\n".repeat(41))),
    ).toHaveLength(1);
  });
});
