import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { migrate, type Sql } from "#durable/store/migrations.ts";

/** SQLite spoken to as a Durable Object does: several statements in one exec, rows as objects. */
function memory(): Sql & { readonly scripts: string[] } {
  const database = new DatabaseSync(":memory:");
  const scripts: string[] = [];
  return {
    scripts,
    exec(query, ...bindings) {
      scripts.push(query);
      if (bindings.length === 0 && !query.startsWith("SELECT")) {
        database.exec(query);
        return { toArray: () => [] };
      }
      const rows = database.prepare(query).all(...bindings);
      return { toArray: () => rows.map((row) => ({ ...row })) as Record<string, string | number | null>[] };
    },
  };
}

const FIRST = "CREATE TABLE a(x INTEGER); CREATE INDEX ax ON a(x)";
const SECOND = "ALTER TABLE a ADD COLUMN y TEXT";

test("every script is applied once, in order, however often the object starts", () => {
  const sql = memory();
  for (let start = 0; start < 3; start++) migrate(sql, [FIRST, SECOND]);
  expect(sql.scripts.filter((script) => script === FIRST || script === SECOND)).toEqual([FIRST, SECOND]);
  sql.exec("INSERT INTO a(x, y) VALUES (?, ?)", 1, "kept");
});

test("a script added to the list is applied to tables that have rows, and they stay", () => {
  const sql = memory();
  migrate(sql, [FIRST]);
  sql.exec("INSERT INTO a(x) VALUES (?)", 7);
  migrate(sql, [FIRST, SECOND]);
  expect(sql.exec("SELECT x, y FROM a").toArray()).toEqual([{ x: 7, y: null }]);
});

test("an applied script that was changed stops the object", () => {
  const sql = memory();
  migrate(sql, [FIRST, SECOND]);
  expect(() => migrate(sql, [`${FIRST} -- edited`, SECOND])).toThrow(
    /migration 0 was applied with another text/,
  );
  expect(() => migrate(sql, [SECOND, FIRST])).toThrow(/migration 0/);
});

test("tables of a newer build stop an older one", () => {
  const sql = memory();
  migrate(sql, [FIRST, SECOND]);
  expect(() => migrate(sql, [FIRST])).toThrow(/tables have 2 migrations and this build knows 1/);
});

test("a script that fails throws and is not remembered as applied", () => {
  const sql = memory();
  expect(() => migrate(sql, [FIRST, "CREATE TABLE a(x)"])).toThrow(/already exists/);
  migrate(sql, [FIRST, SECOND]);
  expect(sql.exec("SELECT n FROM migration ORDER BY n").toArray()).toEqual([{ n: 0 }, { n: 1 }]);
});
