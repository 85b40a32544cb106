/** What the Worker of `npm run dev` reaches over loopback: the policy directory, and the archive's socket as it answers. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ArchiveConflict } from "#durable/store/archive.ts";
import { directoryArchive } from "#durable/store/directory-archive.ts";
import { type DirectoryEndpoint, directoryEndpoint } from "#scripts/archive/directory-endpoint.ts";
import { type Loopback, startLoopback } from "#scripts/dev/loopback.ts";
import { workspace } from "#test/support/servers/children.ts";
import { bytesOf, keysOf, some } from "#test/unit/store/archive-contract.ts";

const home = workspace("dev-loopback");
let endpoint: DirectoryEndpoint;
let loopback: Loopback;

beforeAll(async () => {
  const policies = join(home.path, "policies");
  mkdirSync(join(policies, "folder"), { recursive: true });
  writeFileSync(join(policies, "a b.cedar"), "permit(principal, action, resource);");
  writeFileSync(join(policies, ".hidden.cedar"), "secret");
  writeFileSync(join(home.path, "outside"), "secret");
  const socket = join(home.path, "run/archive.sock");
  endpoint = await directoryEndpoint({ root: join(home.path, "archive"), socket });
  loopback = await startLoopback(policies, socket);
});
afterAll(async () => {
  await loopback?.stop();
  await endpoint?.stop();
  home.remove();
});

test("policies are listed as workerd's disk lists them, and read byte for byte", async () => {
  const listing = (await (await fetch(`${loopback.url}/policies/`)).json()) as object[];
  expect(listing).toContainEqual({ name: "a b.cedar", type: "file" });
  expect(listing).toContainEqual({ name: "folder", type: "directory" });
  const file = await fetch(`${loopback.url}/policies/a%20b.cedar`);
  expect(await file.text()).toBe("permit(principal, action, resource);");
});

test.each([
  "/policies/absent.cedar",
  "/policies/.hidden.cedar",
  "/policies/..%2Foutside",
  "/policies/folder",
])("%s is not there", async (path) => {
  expect((await fetch(`${loopback.url}${path}`)).status).toBe(404);
});

test("who does not know the path gets nothing", async () => {
  const { origin } = new URL(loopback.url);
  for (const path of ["/", "/policies/", "/keys?prefix=", "/x/policies/"])
    expect((await fetch(`${origin}${path}`)).status).toBe(404);
});

test("the archive behind it keeps its promises: created once, read back, listed, never replaced", async () => {
  const archive = directoryArchive({
    fetch: (url, init) => fetch(url.replace("http://archive", loopback.url), init),
    retentionDays: 0,
  });
  const bytes = some(3 << 20);
  await archive.put("sessions/a", bytes, { locked: true });
  expect(await archive.get("sessions/a")).toEqual(bytes);
  expect(await archive.get("sessions/b")).toBeUndefined();
  expect(await keysOf(archive, "sessions/")).toEqual(["sessions/a"]);
  await expect(archive.put("sessions/a", bytesOf("other"), { locked: true })).rejects.toThrow(
    ArchiveConflict,
  );
});
