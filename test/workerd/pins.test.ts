import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Definition } from "#durable/format/catalogue/definition.ts";
import type { Principal } from "#durable/format/principal.ts";
import { pinsOf } from "#durable/stubs.ts";
import { bindings, rowsOf } from "./live-session.ts";
import { clock, knowKey, limits } from "./main.ts";

beforeAll(knowKey);

const stub = () => bindings.DIRECTORY.getByName("directory");
const pins = () => pinsOf(bindings.DIRECTORY);
const person = (subject: string): Principal => ({ issuer: "https://idp.example", subject, groups: [] });
const [alice, bob, carol] = [person("alice"), person("bob"), person("carol")];
const definition = (tool: string, says: string): Definition => {
  const text = JSON.stringify({ description: says, name: tool });
  return { tool, text, digest: `${says}-${tool}` };
};
const [first, second, third] = ["first", "second", "third"].map((says) => definition("echo", says));
if (!first || !second || !third) throw new Error("there are three");

let n = 0;
let server: string;
beforeEach(() => {
  clock.ahead = 0;
  server = `server-${n++}`;
});
const shows = async (to: Principal, ...shown: Definition[]) => pins().learn(server, to, shown);
const known = async (to: Principal, tool = "echo") => (await pins().known(server, to, [tool]))[0];
/** Makes the next write of a table fail, as a full disk does. */
const failing = async (write: string, table: string, work: () => Promise<unknown>): Promise<unknown> => {
  await rowsOf(
    stub(),
    `CREATE TRIGGER full BEFORE ${write} ON ${table} BEGIN SELECT RAISE(ABORT, 'disk full'); END`,
  );
  const thrown = await work().catch((cause: unknown) => cause);
  await rowsOf(stub(), "DROP TRIGGER full");
  return thrown;
};

test("the first definition that anybody is shown is the pin, for everybody at that connection and at no other", async () => {
  expect(await known(alice)).toBeNull();
  expect(await shows(alice, first, definition("other", "x"))).toEqual(["new", "new"]);
  expect(await shows(bob, first)).toEqual(["pinned"]);
  expect(await known(carol)).toEqual({ pinned: first });
  expect(await pins().known(`${server}-x`, alice, ["echo", "other"])).toEqual([null, null]);
});

test("who is shown another has it changed, who was shown the pinned one has not, and who never saw a list goes by the newest", async () => {
  await shows(alice, first);
  await shows(bob, first);
  expect(await shows(alice, second)).toEqual(["changed"]);
  expect(await known(alice)).toEqual({ pinned: first, shown: second });
  expect(await known(bob)).toEqual({ pinned: first });
  expect(await known(carol)).toEqual({ pinned: first, shown: second });
});

test("a server that shows one thing to one cannot clear it by showing the pinned one to another", async () => {
  await shows(alice, first);
  await shows(alice, second);
  await shows(bob, first);
  expect(await known(alice)).toEqual({ pinned: first, shown: second });
});

test("nor by showing the pinned one again: what was read counts for as long as a session may last", async () => {
  await shows(alice, first);
  await shows(alice, second);
  expect(await shows(alice, first)).toEqual(["pinned"]);
  clock.ahead = limits.maxSeconds * 1000 - 60_000;
  expect(await shows(alice, first)).toEqual(["pinned"]);
  await evictDurableObject(stub());
  expect(await known(alice)).toEqual({ pinned: first, shown: second, withdrawn: true });
  clock.ahead = limits.maxSeconds * 1000 + 60_000;
  expect(await known(alice)).toEqual({ pinned: first });
  await shows(alice, first);
  expect(await rowsOf(stub(), `SELECT who FROM shown WHERE connection = '${server}'`)).toEqual([]);
});

test("approving what the server has gone back from leaves the pin where it is, and counts no more for who asked", async () => {
  await shows(alice, first);
  for (const who of [alice, bob]) await shows(who, second);
  for (const who of [alice, bob]) await shows(who, first);
  expect(await pins().accept(server, alice, second)).toBe(true);
  expect(await known(alice)).toEqual({ pinned: first });
  expect(await known(bob)).toEqual({ pinned: first, shown: second, withdrawn: true });
  await shows(bob, second);
  expect(await known(bob)).toEqual({ pinned: first, shown: second });
});

test("what is accepted is the pin for everybody, and going back is a change again", async () => {
  await shows(alice, first);
  await shows(alice, second);
  await shows(bob, second);
  expect(await pins().accept(server, alice, second)).toBe(true);
  expect(await known(alice)).toEqual({ pinned: second });
  expect(await known(bob)).toEqual({ pinned: second });
  expect(await shows(bob, first)).toEqual(["changed"]);
});

test("what was approved is not accepted when whoever asked was shown another since", async () => {
  await shows(alice, first);
  await shows(alice, second);
  await shows(alice, third);
  expect(await pins().accept(server, alice, second)).toBe(false);
  expect(await known(alice)).toEqual({ pinned: first, shown: third });
  expect(await pins().accept(server, alice, definition("echo", "never"))).toBe(false);
  expect(await pins().accept(server, alice, definition("unheard", "of"))).toBe(false);
});

test("all of it outlives the object", async () => {
  await shows(alice, first);
  await shows(alice, second);
  await evictDurableObject(stub());
  expect(await known(alice)).toEqual({ pinned: first, shown: second });
  expect(await pins().accept(server, alice, second)).toBe(true);
  await runInDurableObject(stub(), (_, state) => state.abort("killed")).catch(() => undefined);
  expect(await known(alice)).toEqual({ pinned: second });
});

test("definitions that nobody needs any more are forgotten, and no table has a name of anybody's", async () => {
  await shows(alice, first);
  for (let i = 0; i < 5; i++) await shows(alice, definition("echo", `change ${i}`));
  const rows = await rowsOf(stub(), `SELECT digest FROM definition WHERE connection = '${server}'`);
  expect(rows).toHaveLength(2);
  const who = await rowsOf(stub(), `SELECT who FROM shown WHERE connection = '${server}'`);
  expect(who).toEqual([{ who: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
});

test("a server that has too many tools teaches none of them", async () => {
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => definition(`tool-${from + i}`, "x"));
  await shows(alice, ...many(0, 9_999));
  expect(await shows(alice, ...many(9_999, 2))).toBeNull();
  expect(await known(alice, "tool-9999")).toBeNull();
  expect(await shows(alice, ...many(9_990, 10))).toEqual([...Array(9).fill("pinned"), "new"]);
});

describe("a write that fails", () => {
  test("keeps nothing of a list: the tools before it are not pinned either", async () => {
    const list = [definition("a", "x"), definition("b", "x")];
    for (const table of ["pin", "definition", "lister"]) {
      expect(await failing("INSERT", table, () => shows(alice, ...list))).toBeInstanceOf(Error);
      expect(await pins().known(server, alice, ["a", "b"])).toEqual([null, null]);
    }
    expect(await shows(alice, ...list)).toEqual(["new", "new"]);
  });

  test("of a change leaves the pin, and does not hide the change once it is shown", async () => {
    await shows(alice, first);
    expect(await failing("INSERT", "shown", () => shows(alice, second))).toBeInstanceOf(Error);
    expect(await known(alice)).toEqual({ pinned: first });
    expect(await shows(alice, second)).toEqual(["changed"]);
  });

  test("of an acceptance leaves the tool changed", async () => {
    await shows(alice, first);
    await shows(alice, second);
    const accept = () => pins().accept(server, alice, second);
    expect(await failing("UPDATE", "pin", accept)).toBeInstanceOf(Error);
    expect(await failing("DELETE", "shown", accept)).toBeInstanceOf(Error);
    expect(await known(alice)).toEqual({ pinned: first, shown: second });
    expect(await accept()).toBe(true);
  });

  test("and was kept all the same is the same when it is made again", async () => {
    // The reply was lost: whoever was told nothing asks again.
    await shows(alice, first);
    expect(await shows(alice, first)).toEqual(["pinned"]);
    await shows(alice, second);
    expect(await shows(alice, second)).toEqual(["changed"]);
    await pins().accept(server, alice, second);
    expect(await pins().accept(server, alice, second)).toBe(true);
    expect(await known(alice)).toEqual({ pinned: second });
  });
});

test("pins that cannot be read are an error, never a tool that nobody knows", async () => {
  await shows(alice, first);
  await rowsOf(stub(), "ALTER TABLE pin RENAME TO lost");
  expect(await known(alice).catch((cause: unknown) => cause)).toBeInstanceOf(Error);
  await rowsOf(stub(), "ALTER TABLE lost RENAME TO pin");
  expect(await known(alice)).toEqual({ pinned: first });
});
