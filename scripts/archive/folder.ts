/** Files in a directory: what is published is whole, durable, read-only, and never replaced unless that is asked for. */
import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

/** What is asked of the disk and may fail. An argument, so that tests can have a full one. */
export type Disk = {
  readonly open: typeof open;
  readonly link: typeof link;
  readonly rename: typeof rename;
  readonly write: (file: FileHandle, chunk: Uint8Array) => Promise<void>;
  readonly sync: (file: FileHandle) => Promise<void>;
};

export const NODE_DISK: Disk = {
  open,
  link,
  rename,
  async write(file, chunk) {
    for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
  },
  sync: (file) => file.sync(),
};

export type Created = "created" | "same" | "other" | "mismatch";
/** What the writer says that it sends. */
export type Said = { readonly bytes: number; readonly digest: string };
export type Found = {
  readonly bytes: number;
  /** RFC 9530 `Repr-Digest`, of the bytes as they are on the disk now. */
  readonly digest: string;
  body(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
};

const UPLOAD = ".upload-";

export class Folder {
  readonly #root: string;
  readonly #disk: Disk;

  constructor(root: string, disk: Disk) {
    this.#root = resolve(root);
    this.#disk = disk;
  }

  /** Makes the root and removes what uploads cut off by a crash have left: nobody was told that they were kept. */
  async open(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o750 });
    await this.#syncFolder(dirname(this.#root));
    for (const entry of await readdir(this.#root, { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && entry.name.startsWith(UPLOAD)) await unlink(join(entry.parentPath, entry.name));
    }
  }

  /** Keeps a body under a key. Whatever it returns but `mismatch` is durable when it returns. */
  async create(key: string, body: AsyncIterable<Uint8Array>, said: Said): Promise<Created> {
    return await this.#keep(key, body, said, (upload, path) => this.#publish(upload, path, said.digest));
  }

  /** The same, in place of what the key had: whoever reads sees the one or the other, whole. */
  async replace(key: string, body: AsyncIterable<Uint8Array>, said: Said): Promise<Created> {
    return await this.#keep(key, body, said, async (upload, path) => {
      await this.#disk.rename(upload, path);
      return "created";
    });
  }

  async #keep(
    key: string,
    body: AsyncIterable<Uint8Array>,
    said: Said,
    publish: (upload: string, path: string) => Promise<Created>,
  ): Promise<Created> {
    const path = join(this.#root, key);
    const folder = dirname(path);
    await mkdir(folder, { recursive: true, mode: 0o750 });
    const upload = join(folder, UPLOAD + randomBytes(12).toString("hex"));
    try {
      const got = await this.#write(upload, body);
      if (got.bytes !== said.bytes || got.digest !== said.digest) return "mismatch";
      const outcome = await publish(upload, path);
      // Up to the root, and also for a file that was there: the run that linked it may have died before its sync.
      for (let at = folder; at.length >= this.#root.length; at = dirname(at)) await this.#syncFolder(at);
      return outcome;
    } finally {
      await unlink(upload).catch((cause: NodeJS.ErrnoException) => {
        // Never made, when the disk refused to open it, or renamed; any other rest goes at the next start.
        if (cause.code !== "ENOENT") throw cause;
      });
    }
  }

  /** Deletes a key's file, durably; one that is not there is none to delete. */
  async remove(key: string): Promise<void> {
    const path = join(this.#root, key);
    try {
      await unlink(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
      return;
    }
    await this.#syncFolder(dirname(path));
  }

  async read(key: string): Promise<Found | undefined> {
    const file = await this.#openIfThere(join(this.#root, key));
    if (!file) return undefined;
    try {
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of contents(file)) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      return {
        bytes,
        digest: reprDigest(hash.digest()),
        body: () => contents(file),
        close: () => file.close(),
      };
    } catch (cause) {
      await file.close();
      throw cause;
    }
  }

  /** Ascending by byte: a folder sorts as its name with the slash. */
  async *keys(prefix: string, below = ""): AsyncGenerator<string, void, undefined> {
    const entries = await readdir(join(this.#root, below), { withFileTypes: true });
    const names = entries
      .filter((entry) => !entry.name.startsWith(".") && (entry.isFile() || entry.isDirectory()))
      .map((entry) => below + entry.name + (entry.isDirectory() ? "/" : ""));
    for (const name of names.sort((a, b) => (a < b ? -1 : 1))) {
      if (!name.endsWith("/")) {
        if (name.startsWith(prefix)) yield name;
      } else if (name.startsWith(prefix) || prefix.startsWith(name)) {
        yield* this.keys(prefix, name);
      }
    }
  }

  async #write(upload: string, body: AsyncIterable<Uint8Array>): Promise<{ bytes: number; digest: string }> {
    const file = await this.#disk.open(upload, "wx", 0o600);
    try {
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of body) {
        await this.#disk.write(file, chunk);
        hash.update(chunk);
        bytes += chunk.length;
      }
      await file.chmod(0o440);
      await this.#disk.sync(file);
      return { bytes, digest: reprDigest(hash.digest()) };
    } finally {
      await file.close();
    }
  }

  /** link(2) never replaces: of racing puts one creates, and the others find it. */
  async #publish(upload: string, path: string, digest: string): Promise<Created> {
    try {
      await this.#disk.link(upload, path);
      return "created";
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    }
    const held = await this.#openIfThere(path);
    if (!held) return "other";
    try {
      const hash = createHash("sha256");
      for await (const chunk of contents(held)) hash.update(chunk);
      return reprDigest(hash.digest()) === digest ? "same" : "other";
    } finally {
      await held.close();
    }
  }

  /** A regular file, or undefined: a folder or a link under the key's name is not one of ours. */
  async #openIfThere(path: string): Promise<FileHandle | undefined> {
    try {
      const file = await this.#disk.open(
        path,
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      );
      if ((await file.stat()).isFile()) return file;
      await file.close();
      return undefined;
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
      throw cause;
    }
  }

  async #syncFolder(path: string): Promise<void> {
    const folder = await this.#disk.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await this.#disk.sync(folder);
    } finally {
      await folder.close();
    }
  }
}

/** From the start on each call; the handle stays open. */
const contents = (file: FileHandle): AsyncIterable<Uint8Array> =>
  createReadStream("", { fd: file, start: 0, autoClose: false, highWaterMark: 1024 * 1024 });

const reprDigest = (sha256: Buffer): string => `sha-256=:${sha256.toString("base64")}:`;
