import {
  type FileHandle,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { request } from "node:http";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ArchiveConflict, ArchiveFault } from "#durable/store/archive.ts";
import { directoryArchive } from "#durable/store/directory-archive.ts";
import { directoryEndpoint } from "#scripts/archive/directory-endpoint.ts";
import { type Disk, NODE_DISK } from "#scripts/archive/folder.ts";
import { archiveContract, bytesOf, fresh, keysOf, some } from "./archive-contract.ts";
import { unixFetch } from "./unix-fetch.ts";

async function place() {
  const folder = await mkdtemp(join(tmpdir(), "steno-directory-"));
  return { folder, root: join(folder, "archive"), socket: join(folder, "run", "archive.sock") };
}

archiveContract("a directory behind its endpoint", async () => {
  const { folder, root, socket } = await place();
  const endpoint = await directoryEndpoint({ root, socket });
  return {
    archive: directoryArchive({ fetch: unixFetch(socket), retentionDays: 2 }),
    async stop() {
      await endpoint.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
});

describe("the directory's endpoint", () => {
  let at: Awaited<ReturnType<typeof place>>;
  let stop: (() => Promise<void>)[];
  beforeEach(async () => {
    at = await place();
    stop = [];
  });
  afterEach(async () => {
    for (const end of stop) await end();
    await rm(at.folder, { recursive: true, force: true });
  });

  async function serve(disk: Disk = NODE_DISK) {
    const endpoint = await directoryEndpoint({ root: at.root, socket: at.socket, disk });
    stop.push(() => endpoint.stop());
    return directoryArchive({ fetch: unixFetch(at.socket), retentionDays: 2, timeoutMs: 5_000 });
  }

  /** One raw request; its status and text. */
  function ask(method: string, path: string, headers: Record<string, string> = {}, body = "") {
    return new Promise<{ status: number; text: string }>((resolve, reject) => {
      const sent = request({ socketPath: at.socket, method, path, headers }, (reply) => {
        let text = "";
        reply.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        reply.on("end", () => resolve({ status: reply.statusCode ?? 0, text }));
      });
      sent.on("error", reject).end(body);
    });
  }

  const uploads = async () =>
    (await readdir(at.root, { recursive: true })).filter((name) => name.includes(".upload-"));

  test("says plainly that nothing is retained", async () => {
    expect((await serve()).retention).toEqual({ mode: "none", days: 2 });
  });

  test("files are read-only, folders closed to others, and the socket is its owner's alone", async () => {
    const archive = await serve();
    await archive.put("a/b/c", bytesOf("x"), { locked: true });
    const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
    expect(await mode(join(at.root, "a/b/c"))).toBe("440");
    expect([await mode(at.root), await mode(join(at.root, "a/b"))]).toEqual(["750", "750"]);
    expect([await mode(at.socket), await mode(join(at.folder, "run"))]).toEqual(["700", "700"]);
    expect(await uploads()).toEqual([]);
  });

  const notKeys = [
    "/keys/../etc/passwd",
    "/keys//etc/passwd",
    "/keys/.hidden",
    "/keys/a/.upload-0",
    "/keys/a/",
  ];
  const spelled = [
    "/keys/a/../b",
    "/keys/a/%2e%2e/b",
    "/keys/%61",
    "/keys/a//b",
    "/keys/a?x=1",
    "/keys/",
    "/",
    "/keys",
  ];
  test.each([...notKeys, ...spelled, `/keys/${"x".repeat(201)}`, `/keys/${"a/".repeat(256)}b`])(
    "%s is refused and touches no file",
    async (path) => {
      await serve();
      for (const method of ["GET", "PUT", "HEAD"]) expect((await ask(method, path)).status).toBe(400);
      expect(await readdir(at.root)).toEqual([]);
    },
  );

  test("nothing but PUT, GET and HEAD is answered", async () => {
    const archive = await serve();
    await archive.put("a", bytesOf("x"), { locked: false });
    for (const method of ["DELETE", "POST", "PATCH"]) expect((await ask(method, "/keys/a")).status).toBe(405);
    expect(await archive.get("a")).toEqual(bytesOf("x"));
  });

  test("a body that is not what its digest or length says is refused and not kept", async () => {
    const archive = await serve();
    const wrong = { "repr-digest": `sha-256=:${"A".repeat(43)}=:` };
    expect((await ask("PUT", "/keys/a", wrong, "x")).status).toBe(400);
    expect((await ask("PUT", "/keys/a", { "content-length": "1" }, "x")).status).toBe(400);
    expect((await ask("GET", "/keys?prefix=%E0%A4%A")).status).toBe(400);
    expect(await archive.get("a")).toBeUndefined();
    expect(await uploads()).toEqual([]);
  });

  test("an upload cut off by its sender leaves nothing", async () => {
    const archive = await serve();
    await new Promise<void>((resolve) => {
      const headers = { "content-length": "1000", "repr-digest": "sha-256=:x:" };
      const sent = request({ socketPath: at.socket, method: "PUT", path: "/keys/a/b", headers });
      sent.on("error", () => resolve());
      sent.write("half", () => setTimeout(() => sent.destroy(new Error("gone")), 50));
    });
    await expect.poll(uploads).toEqual([]);
    expect(await archive.get("a/b")).toBeUndefined();
  });

  test("uploads left by a crash are removed at start, and what was kept stays", async () => {
    await mkdir(join(at.root, "a"), { recursive: true });
    await writeFile(join(at.root, "a", ".upload-0123"), "half");
    await writeFile(join(at.root, "a", "b"), "whole");
    const archive = await serve();
    expect(await uploads()).toEqual([]);
    expect(await archive.get("a/b")).toEqual(bytesOf("whole"));
  });

  test("a socket left by a crash is taken over; one that is being served is not", async () => {
    await serve();
    await expect(directoryEndpoint({ root: at.root, socket: at.socket })).rejects.toThrow(
      /being served already/,
    );
    const left = join(at.folder, "run", "left.sock");
    const server: Server = createServer();
    await new Promise<void>((resolve) => server.listen(left, resolve));
    // Closing unlinks the socket, as a crash does not: a second name keeps it.
    await link(left, `${left}.kept`);
    await new Promise((resolve) => server.close(resolve));
    await rename(`${left}.kept`, left);
    const second = await directoryEndpoint({ root: join(at.folder, "second"), socket: left });
    await second.stop();
  });

  test("a full disk is answered with 507, leaves nothing, and the same put succeeds when there is room", async () => {
    const archive = await serve({
      ...NODE_DISK,
      write: () => Promise.reject(Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" })),
    });
    await expect(archive.put("a/b", bytesOf("x"), { locked: true })).rejects.toThrow(/507 .*ENOSPC/);
    expect(await uploads()).toEqual([]);
    await stop.pop()?.();
    const roomy = await serve();
    expect((await roomy.put("a/b", bytesOf("x"), { locked: true })).bytes).toBe(1);
  });

  test("a sync that fails is a fault although the file is there, and the same put succeeds later", async () => {
    let failures = 1;
    const archive = await serve({
      ...NODE_DISK,
      async sync(file) {
        if ((await file.stat()).isDirectory() && (await readdir(at.root)).includes("a") && failures-- > 0) {
          throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
        }
        await file.sync();
      },
    });
    await expect(archive.put("a", bytesOf("x"), { locked: true })).rejects.toThrow(/500 .*EIO/);
    await expect(archive.put("a", bytesOf("y"), { locked: true })).rejects.toBeInstanceOf(ArchiveConflict);
    expect((await archive.put("a", bytesOf("x"), { locked: true })).bytes).toBe(1);
    expect(await keysOf(archive, "")).toEqual(["a"]);
  });

  test("file, its folder and every folder up to the root are synced, the file before it is published", async () => {
    const order: string[] = [];
    const archive = await serve({
      ...NODE_DISK,
      async sync(file) {
        order.push((await file.stat()).isFile() ? "file" : "folder");
        await file.sync();
      },
      async link(from, to) {
        order.push("link");
        await NODE_DISK.link(from, to);
      },
    });
    order.length = 0;
    await archive.put("a/b/c", bytesOf("x"), { locked: true });
    expect(order).toEqual(["file", "link", "folder", "folder", "folder"]);
    await archive.put("a/b/c", bytesOf("x"), { locked: true });
    expect(order.slice(5)).toEqual(["file", "link", "folder", "folder", "folder"]);
  });

  test("a file that was changed on the disk is a conflict for its writer and no longer has the put's digest", async () => {
    const archive = await serve();
    const key = `${fresh()}/a`;
    await archive.put(key, bytesOf("true"), { locked: true });
    await rm(join(at.root, key));
    await writeFile(join(at.root, key), "fals");
    await expect(archive.put(key, bytesOf("true"), { locked: true })).rejects.toBeInstanceOf(ArchiveConflict);
  });

  test("a link or a folder in a key's place is not read", async () => {
    const archive = await serve();
    await writeFile(join(at.folder, "secret"), "secret");
    await symlink(join(at.folder, "secret"), join(at.root, "link"));
    await mkdir(join(at.root, "folder"));
    expect(await archive.get("link")).toBeUndefined();
    expect(await archive.get("folder")).toBeUndefined();
    expect(await keysOf(archive, "")).toEqual([]);
    await expect(archive.put("link", bytesOf("x"), { locked: false })).rejects.toBeInstanceOf(
      ArchiveConflict,
    );
    expect(await readFile(join(at.folder, "secret"), "utf8")).toBe("secret");
  });

  test("64 MiB pass in both directions", async () => {
    const archive = await serve();
    const bytes = some(64 * 1024 * 1024);
    await archive.put("big", bytes, { locked: true });
    expect(Buffer.compare((await archive.get("big")) ?? new Uint8Array(), bytes)).toBe(0);
  });

  test("an endpoint that is not there is a fault", async () => {
    const archive = directoryArchive({ fetch: unixFetch(at.socket), retentionDays: 2 });
    await expect(archive.put("a", bytesOf("x"), { locked: true })).rejects.toBeInstanceOf(ArchiveFault);
    await expect(archive.get("a")).rejects.toBeInstanceOf(ArchiveFault);
    await expect(keysOf(archive, "")).rejects.toBeInstanceOf(ArchiveFault);
  });

  test("an endpoint that never answers is a fault at the deadline", async () => {
    const silent = createServer((socket) => socket.resume());
    await mkdir(join(at.folder, "run"));
    await new Promise<void>((resolve) => silent.listen(at.socket, resolve));
    stop.push(() => new Promise((resolve) => silent.close(() => resolve())));
    const archive = directoryArchive({ fetch: unixFetch(at.socket), retentionDays: 2, timeoutMs: 200 });
    await expect(archive.get("a")).rejects.toThrow(/not done within 200 ms/);
  });

  test("a listing that is cut off is a fault, never a shorter listing", async () => {
    const whole = '"a"\n"b"\n';
    for (const text of [whole.slice(0, -1), whole.slice(0, 5)]) {
      const fetch = async () => new Response(text);
      const archive = directoryArchive({ fetch, retentionDays: 2 });
      await expect(keysOf(archive, "")).rejects.toThrow(/cut off/);
    }
  });

  test("bytes that are not those of their digest are a fault", async () => {
    const headers = { "content-length": "1", "repr-digest": `sha-256=:${"A".repeat(43)}=:` };
    const archive = directoryArchive({ fetch: async () => new Response("x", { headers }), retentionDays: 2 });
    await expect(archive.get("a")).rejects.toThrow(/not those of their digest/);
    await expect(archive.put("a", bytesOf("x"), { locked: true })).rejects.toThrow(/holds other bytes/);
  });

  test("every file that was opened is closed after its answer", async () => {
    const opened: FileHandle[] = [];
    const archive = await serve({
      ...NODE_DISK,
      async open(...args) {
        const file = await NODE_DISK.open(...args);
        opened.push(file);
        return file;
      },
    });
    await archive.put("a", some(10), { locked: true });
    await expect(archive.put("a", some(10), { locked: true })).rejects.toBeInstanceOf(ArchiveConflict);
    await archive.get("a");
    await archive.stat("a");
    expect(opened.length).toBeGreaterThan(8);
    await expect.poll(() => opened.filter((file) => file.fd !== -1)).toEqual([]);
  });
});
