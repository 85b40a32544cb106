import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { Principal } from "#durable/format/principal.ts";
import { pinsOf } from "#durable/stubs.ts";
import { clock } from "./main.ts";

const bindings = env as unknown as Readonly<Record<"DIRECTORY", DurableObjectNamespace>>;
const sessions = () => pinsOf(bindings.DIRECTORY);
const alice: Principal = { issuer: "https://idp.example", subject: "alice", groups: [] };
const bob: Principal = { ...alice, subject: "bob" };
const DAY = 24 * 3_600_000;

afterEach(() => {
  clock.ahead = 0;
});

test("a server's session is whoever's it was opened for, at that connection, also after a restart", async () => {
  await sessions().opened("tracker", alice, "s-1");
  await evictDurableObject(bindings.DIRECTORY.getByName("directory"));
  expect(await sessions().isOwn("tracker", alice, "s-1")).toBe(true);
  expect(await sessions().isOwn("tracker", bob, "s-1")).toBe(false);
  expect(await sessions().isOwn("other", alice, "s-1")).toBe(false);
  expect(await sessions().isOwn("tracker", alice, "s-2")).toBe(false);
  expect(await sessions().isOwn("tracker", { ...alice, agent: "robot" }, "s-1")).toBe(false);
});

test("an id that a server gives twice stays the first one's", async () => {
  await sessions().opened("tracker", alice, "twice");
  await sessions().opened("tracker", bob, "twice");
  expect(await sessions().isOwn("tracker", alice, "twice")).toBe(true);
  expect(await sessions().isOwn("tracker", bob, "twice")).toBe(false);
});

test("it is kept for a month after it was used last", async () => {
  await sessions().opened("tracker", alice, "used");
  await sessions().opened("tracker", alice, "left");
  clock.ahead = 20 * DAY;
  expect(await sessions().isOwn("tracker", alice, "used")).toBe(true);
  clock.ahead = 40 * DAY;
  expect(await sessions().isOwn("tracker", alice, "used")).toBe(true);
  expect(await sessions().isOwn("tracker", alice, "left")).toBe(false);
});
