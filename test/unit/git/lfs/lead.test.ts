import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Asked, isBatch, leadThrough, ticketOf, uploadedBy } from "#workers/adapters/git/lfs/lead.ts";
import { Tickets } from "#workers/adapters/git/lfs/tickets.ts";
import { WholeObject } from "#workers/adapters/git/lfs/whole-object.ts";

const random = (length: number) => new Uint8Array(randomBytes(length));
const tickets = new Tickets(random(32), random);
const BASE = "https://forge.internal/team";
const OID = "a".repeat(64);
const batch: Asked = { connection: "code", method: "POST", path: "/app.git/info/lfs/objects/batch" };

type Led = {
  readonly objects: readonly {
    readonly actions?: Record<string, { href: string; expires_in?: number }>;
    readonly error?: { readonly code: number; readonly message: string };
  }[];
};
const lead = async (answer: unknown): Promise<Led> => {
  const text = typeof answer === "string" ? answer : JSON.stringify(answer);
  return (await leadThrough(new Response(text), batch, BASE, tickets)).json() as Promise<Led>;
};
const uploading = (href: string, header: Record<string, unknown> = {}) => ({
  objects: [
    { oid: OID, size: 5, authenticated: true, actions: { upload: { href, header, expires_in: 60 } } },
  ],
});
const ledTo = async (href: string, header?: Record<string, unknown>): Promise<Asked> => {
  const told = (await lead(uploading(href, header))).objects[0]?.actions?.["upload"]?.href ?? "";
  expect(told.startsWith("/git/code/")).toBe(true);
  return { connection: "code", method: "PUT", path: told.slice("/git/code".length) };
};

test("an address below the connection comes back as the LFS server gave it, tokens and all, to egress alone", async () => {
  const href = `${BASE}/store/x%2Fy?sig=s3cret`;
  const asked = await ledTo(href, {
    Authorization: "RemoteAuth s3cret",
    Host: "elsewhere",
    "Content-Type": "x/y",
  });
  expect(asked.path).not.toContain("s3cret");
  expect(asked.path).toMatch(new RegExp(`^/app\\.git/info/lfs/objects/${OID}/5\\?ticket=[\\w-]+$`));
  expect(uploadedBy(asked)).toEqual({ oid: OID, size: 5 });
  expect(await ticketOf(asked, tickets)).toEqual({
    url: href,
    headers: [
      ["authorization", "RemoteAuth s3cret"],
      ["content-type", "x/y"],
    ],
  });
});

test("a ticket is good for its own request only, and only as long as its key", async () => {
  const asked = await ledTo(`${BASE}/x`);
  for (const other of [
    { ...asked, connection: "other" },
    { ...asked, method: "GET" },
    { ...asked, path: asked.path.replace("/5?", "/6?") },
    { ...asked, path: asked.path.replace(OID, "b".repeat(64)) },
    { ...asked, path: asked.path.replace("/app.git/", "/other.git/") },
    { ...asked, path: asked.path.replace(/\?ticket=.*/, "?ticket=AAAA") },
  ])
    await expect(ticketOf(other, tickets)).rejects.toMatchObject({ code: "denied" });
  await expect(ticketOf(asked, new Tickets(random(32), random))).rejects.toMatchObject({ code: "denied" });
});

test("requests that are no object's have no ticket", async () => {
  expect(await ticketOf(batch, tickets)).toBeUndefined();
  expect(uploadedBy(batch)).toBeUndefined();
  expect(isBatch(batch)).toBe(true);
  expect(isBatch({ ...batch, path: "/app.git/git-upload-pack" })).toBe(false);
});

test.each([
  "https://store.example/bucket/x?sig=s3cret",
  "http://forge.internal/team/x",
  "https://forge.internal:8443/team/x",
  "https://forge.internal/teams/x",
  "https://forge.internal/team/../other/x",
  "https://forge.internal/team/%2e%2e/other/x",
  "https://forge.internal@evil.example/team/x",
])("the address %s is an error of its object that names the place and no more", async (href) => {
  const [object] = (await lead(uploading(href))).objects;
  expect(object?.actions).toBeUndefined();
  expect(object?.error?.code).toBe(403);
  expect(object?.error?.message).toContain(new URL(href).origin);
  expect(object?.error?.message).not.toMatch(/s3cret|bucket/);
});

test("errors of objects pass, objects that are there need nothing, and nothing else passes", async () => {
  const said = {
    objects: [
      { oid: OID, size: 5, error: { code: 404, message: "gone", secret: "s" } },
      { oid: OID, size: 6, secret: "s", actions: { other: { href: `${BASE}/x` } } },
    ],
    secret: "s",
  };
  expect(await lead(said)).toEqual({
    transfer: "basic",
    objects: [
      { oid: OID, size: 5, error: { code: 404, message: "gone" } },
      { oid: OID, size: 6 },
    ],
  });
});

test.each([
  ["no JSON", "<html>"],
  ["a list", []],
  ["another transfer", { transfer: "tus", objects: [] }],
  ["another hash", { hash_algo: "sha512", objects: [] }],
  ["no oid", { objects: [{ size: 1 }] }],
  ["no address", uploading("objects/x")],
  ["a header with a line end", uploading(`${BASE}/x`, { a: "b\r\nc: d" })],
  ["a header that is none", uploading(`${BASE}/x`, { "a b": "c" })],
  ["an address without end", uploading(`${BASE}/${"x".repeat(9_000)}`)],
  ["too many objects", { objects: Array(1_001).fill({ oid: OID, size: 1 }) }],
  ["more than is read", " ".repeat(9 * 1024 * 1024)],
])("an answer with %s is the upstream's fault", async (_, answer) => {
  await expect(lead(answer)).rejects.toMatchObject({ code: "upstream_protocol" });
});

test("however an upload is cut into pieces, all but its last byte passes, and that only when it is the object", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
      fc.boolean(),
      (pieces, right) => {
        const all = Buffer.concat(pieces);
        const oid = createHash("sha256")
          .update(right ? all : Buffer.concat([all, all, Buffer.of(1)]))
          .digest("hex");
        const whole = new WholeObject({ oid, size: all.byteLength });
        const early = Buffer.concat(pieces.map((piece) => whole.pass(piece)));
        expect(early.equals(all.subarray(0, -1))).toBe(true);
        if (right) expect(Buffer.concat([early, whole.last()]).equals(all)).toBe(true);
        else expect(() => whole.last()).toThrow(/not what its oid/);
      },
    ),
  );
  const short = new WholeObject({ oid: OID, size: 2 });
  expect(() => short.pass(new Uint8Array(3))).toThrow(/not what its oid/);
  expect(() => new WholeObject({ oid: OID, size: 2 }).last()).toThrow(/not what its oid/);
});
