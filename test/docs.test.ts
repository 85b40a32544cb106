/** The documents say what is so: their blocks are executed or parsed, their tables are held against the source. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { afterAll, describe, expect, test } from "vitest";
import { type FindingCode, Findings } from "#durable/proof/finding.ts";
import { failed } from "#scripts/config/finding.ts";
import { File, LATER_TABLES, TABLES } from "#scripts/config/schema.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { help } from "#scripts/steno.ts";
import { readWrangler, SERVICES } from "#scripts/workerd/wrangler.ts";
import { type Block, blocksOf, runBlock, sectionOf, stenoShim, tableOf } from "#test/support/documents.ts";
import { workspace } from "#test/support/servers/children.ts";
import { readShapes } from "#workers/policy/question/shape.ts";

const ROOT = join(import.meta.dirname, "..");
const FOLDERS = ["docs", "durable", "policies", "scripts", "test", "workers"];
const documents = [
  ...readdirSync(ROOT).filter((name) => name.endsWith(".md")),
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  ),
].toSorted();
const text = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const blocks = documents.flatMap((path) => blocksOf(path, text(path)));
const marked = (mark: string): Block[] => blocks.filter((block) => block.mark === mark);

const home = workspace("docs");
afterAll(() => home.remove());

test("there are documents and blocks, so that these tests are about something", () => {
  expect(documents.length).toBeGreaterThan(20);
  expect(documents).toContain("README.md");
  for (const mark of [
    "sh run",
    "sh run evidence",
    "ts run evidence",
    "sh run timestamps",
    "toml check",
    "text help",
  ])
    expect(marked(mark).length, mark).toBeGreaterThan(0);
});

test("a block is marked with a word that has it run, or is not marked at all", () => {
  const known = /^(sh|ts|toml|text|ini|cedar|json)?( run| run evidence| run timestamps| check| help)?$/;
  expect(blocks.filter(({ mark }) => !known.test(mark)).map(({ at, mark }) => `${at} ${mark}`)).toEqual([]);
});

test.each(marked("toml check"))("the configuration at $at is accepted without a finding", ({ body, at }) => {
  const loaded = parseSettings(body, ROOT);
  expect(loaded.findings, at).toEqual([]);
  expect(loaded.settings).toBeDefined();
});

test.each(marked("sh run"))("the commands at $at do what they say", async ({ body, at }) => {
  const directory = join(home.path, at.replaceAll(/\W/g, "-"));
  mkdirSync(directory);
  writeFileSync(join(directory, "steno.toml"), marked("toml check")[0]?.body ?? "");
  const env = { STENO_TOKEN: "example", HOME: directory, XDG_CONFIG_HOME: "", GIT_CONFIG_GLOBAL: "" };
  const path = stenoShim(directory);
  const { code, err } = await runBlock("sh", body, { cwd: directory, env, path });
  expect(err).toBe("");
  expect(code).toBe(0);
});

test("the README shows the help that the command prints", () => {
  expect(marked("text help").map(({ body }) => body.trimEnd())).toEqual([help()]);
});

test("every command that a document names exists", () => {
  const commands = new Set([...help().matchAll(/^ {2}steno (\w+)/gm)].map((match) => match[1]));
  const { scripts } = JSON.parse(text("package.json")) as { scripts: Record<string, string> };
  const known = (kind: string, name: string) =>
    kind === "npx steno" ? commands.has(name) || name === "help" : name in scripts;
  const named = documents.flatMap((path) =>
    [...text(path).matchAll(/\b(npx steno|npm run) (\w+)/g)].map(([, kind = "", name = ""]) => ({
      path,
      kind,
      name,
    })),
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter(({ kind, name }) => !known(kind, name))).toEqual([]);
});

test("every relative link leads somewhere", () => {
  const links = documents.flatMap((path) =>
    [...text(path).matchAll(/\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => ({
      path,
      to: match[1] ?? "",
    })),
  );
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter(({ path, to }) => !existsSync(join(ROOT, dirname(path), to)))).toEqual([]);
});

test("sections that comments cite are there", () => {
  const cited = FOLDERS.filter((folder) => !["docs", "policies"].includes(folder)).flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(tsx?|md)$/.test(name))
      .flatMap((name) => [...text(join(folder, name)).matchAll(/\b(ARCHITECTURE|EVIDENCE) §(\d+)/g)])
      .map(([, page = "", section = ""]) => `docs/${page.toLowerCase()}.md ## ${section}.`),
  );
  expect(cited.length).toBeGreaterThan(5);
  const missing = [...new Set(cited)].filter((cite) => {
    const [path = "", heading = ""] = cite.split(/ (?=##)/);
    return !text(path).includes(`\n${heading} `);
  });
  expect(missing).toEqual([]);
});

test("pages that comments cite are there", () => {
  const cited = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(tsx?|md|sh)$/.test(name))
      .flatMap((name) => text(join(folder, name)).match(/\bdocs\/[\w/-]+\.md\b/g) ?? []),
  );
  expect(cited.length).toBeGreaterThan(3);
  expect(cited.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

type Wrapped = { readonly wrapped?: unknown; readonly default?: unknown };
type Entries = Readonly<Record<string, Wrapped & { readonly literal?: unknown }>>;
type Node = Wrapped & { readonly entries?: Entries; readonly item?: unknown; readonly options?: unknown[] };

/** The objects of a table's schema: two for an archive, one for all others. */
function objectsOf(path: readonly string[]): Entries[] {
  let node = File as unknown as Node;
  const bare = (of: unknown): Node => {
    const at = of as Node;
    return at.wrapped === undefined ? at : bare(at.wrapped);
  };
  for (const part of path) node = bare(bare(node).entries?.[part]);
  const item = node.item === undefined ? node : bare(node.item);
  return (item.options ?? [item]).map((option) => bare(option).entries ?? {});
}

/** As the page writes it; an archive's key has the default of the first kind that knows it. */
function defaultOf(path: readonly string[], key: string): string {
  if (path.join(".") === "archive" && key === "kind") return '`"directory"`';
  const schema = objectsOf(path).find((entries) => key in entries)?.[key];
  if (schema?.wrapped === undefined) return "required";
  return schema.default === undefined
    ? "–"
    : `\`${JSON.stringify(schema.default).replaceAll('","', '", "')}\``;
}

describe("docs/configuration.md", () => {
  const page = text("docs/configuration.md");

  test.each(TABLES)("has each key of $path, with its default, and no other", ({ path, many, keys }) => {
    const name = many ? `[[${path.join(".")}]]` : `[${path.join(".")}]`;
    const rows = tableOf(sectionOf(page, `\`${name}\``)).map(([key = "", value = ""]) => [key, value]);
    const expected = keys.map((key) => [`\`${key}\``, defaultOf(path, key)]);
    expect(rows.toSorted()).toEqual(expected.toSorted());
  });

  test("has no other table, and names what is not there yet", () => {
    expect([...page.matchAll(/^## `/gm)]).toHaveLength(TABLES.length);
    const later = sectionOf(page, "Not there yet");
    const names = [...LATER_TABLES.map((name) => `[${name}]`), ...TABLES.flatMap((t) => t.later)];
    expect(names.filter((name) => !later.includes(`\`${name}\``))).toEqual([]);
  });

  test("shows an empty file that is accepted, as it says", () => {
    expect(failed(parseSettings("", ROOT).findings)).toBe(false);
  });
});

describe("docs/evidence.md", () => {
  const page = text("docs/evidence.md");

  test("has each kind of frame with each of its members", () => {
    const files = ["frame.ts", "catalogue/catalogue.ts"];
    const source = files.map((name) => `${text(`durable/format/${name}`)}\n`).join("");
    const members = new Map<string, Set<string>>();
    for (const [, , body = ""] of source.matchAll(
      /^(?:export )?type (\w+) =([\s\S]*?);\n(?=export|type|\/\*\*|\n)/gm,
    )) {
      const kind = /readonly k: "([\w.]+)"/.exec(body)?.[1];
      if (kind === undefined) continue;
      const own = body.replaceAll(/readonly refusal\?: \{[^}]*\}/g, "readonly refusal?:");
      const names = [...own.matchAll(/readonly (\w+)\??:/g)].map((match) => match[1] ?? "");
      members.set(kind, new Set([...(members.get(kind) ?? []), ...names.filter((name) => name !== "k")]));
    }
    const told = new Map(
      tableOf(sectionOf(page, "1. Frames")).map(([kind = "", names = ""]) => [
        kind.replaceAll("`", ""),
        new Set(names.replaceAll("`", "").split(" ")),
      ]),
    );
    expect([...told.keys()].toSorted()).toEqual([...members.keys()].toSorted());
    for (const [kind, names] of members) {
      // A decision's and a body's members are types of their own: what stands there must at least be all that is here.
      for (const name of names) expect(told.get(kind), kind).toContain(name);
    }
    for (const name of ["end", "d", "bytes", "sha256", "len"]) expect(told.get("data")).toContain(name);
    for (const name of ["verdict", "policies", "set", "reason", "denied"])
      expect(told.get("decision")).toContain(name);
  });

  test("files each finding under the verdict it leads to", () => {
    const codes = [...text("durable/proof/finding.ts").matchAll(/^ {2}(\w+): \["(?:error|warning|note)"/gm)];
    const effects = new Map(codes.map(([, code = ""]) => [code, effectOf(code as FindingCode)]));
    expect(effects.size).toBeGreaterThan(20);
    const rows = tableOf(sectionOf(page, "6. Verifying"));
    const told = rows.flatMap(([verdict = "", list = ""]) =>
      list.split(" ").map((code): [string, string] => [code.replaceAll("`", ""), verdict]),
    );
    expect(told.toSorted()).toEqual([...effects].toSorted());
  });
});

function effectOf(code: FindingCode): string {
  const findings = new Findings();
  findings.report(code, "object", "message");
  const { integrity, completeness } = findings.verdict;
  if (integrity === "INVALID") return integrity;
  return completeness === "COMPLETE" ? "neither" : completeness;
}

test("docs/architecture.md names each service's calls as wrangler.toml binds them", () => {
  const wrangler = readWrangler(join(ROOT, "wrangler.toml"));
  const rows = tableOf(sectionOf(text("docs/architecture.md"), "3. Isolates and capabilities"));
  expect(rows.map(([service]) => service)).toEqual(SERVICES.map((service) => `\`${service}\``));
  for (const [index, service] of SERVICES.entries()) {
    const bound = (wrangler.env[service]?.services ?? []).map(({ binding }) => `\`${binding}\``);
    expect(rows[index]?.[2]?.match(/`[A-Z]+`/g) ?? [], service).toEqual(bound);
  }
});

test("the policy page has every action, with its group, its resource and its context", () => {
  const shapes = readShapes(cedar);
  const every = ["findings", "severity", "inspected", "paths", "size"];
  const told = tableOf(sectionOf(text("docs/policy.md"), "3. Actions")).flatMap(
    ([names = "", group = "", about = "", own = ""]) =>
      names.split(" ").map((name) => [name.slice(1, -1), group.slice(1, -1), about, own.replaceAll("`", "")]),
  );
  const known = [...shapes.actions].map(([name, { above, resource, context }]) => {
    const own = [...context].filter(([member]) => !every.includes(member));
    const members = own.map(([member, { required }]) => (required ? member : `${member}?`));
    return [name, above[0], resource, members.toSorted().join(" ")];
  });
  expect(told.toSorted()).toEqual(known.toSorted());
});

test("each decision has a number of its own, in its name and its title", () => {
  const names = readdirSync(join(ROOT, "docs/decisions")).toSorted();
  expect(names.length).toBeGreaterThan(0);
  for (const [index, name] of names.entries()) {
    const number = String(index + 1).padStart(3, "0");
    expect(name).toMatch(new RegExp(`^${number}-[a-z0-9-]+\\.md$`));
    expect(text(`docs/decisions/${name}`)).toMatch(new RegExp(`^# ${number} `));
  }
});
