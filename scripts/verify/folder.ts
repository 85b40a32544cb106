/** A directory on disk as the read half of an archive: keys are paths below it. Links are not followed out of it. */
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Source } from "#durable/proof/read/source.ts";

/** What a directory archive is still writing: not an object until it has its name. */
const UPLOAD = ".upload-";

/** `root` must be a directory; what is not there reads as absent, any other failure throws. */
export function folderSource(root: string): Source {
  return {
    async get(key) {
      const path = join(root, key);
      const known = await look(path);
      return known?.isFile() ? new Uint8Array(await readFile(path)) : undefined;
    },
    async stat(key) {
      const known = await look(join(root, key));
      return known?.isFile() ? { bytes: known.size } : undefined;
    },
    list: (prefix) => keysBelow(root, prefix),
  };
}

async function* keysBelow(root: string, prefix: string): AsyncGenerator<string> {
  yield* walk(root, prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix);
}

async function* walk(root: string, folder: string, prefix: string): AsyncGenerator<string> {
  const entries = (await entriesOf(join(root, folder))).filter(({ name }) => !name.startsWith(UPLOAD));
  const names = entries.map((entry) => ({
    entry,
    key: `${folder}${entry.name}${entry.isDirectory() ? "/" : ""}`,
  }));
  names.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { entry, key } of names) {
    if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
    if (entry.isDirectory()) yield* walk(root, key, prefix);
    else yield key;
  }
}

async function entriesOf(path: string) {
  return (await absent(readdir(path, { withFileTypes: true }))) ?? [];
}

const look = (path: string) => absent(lstat(path));

/** What is not there is an answer; a disk that cannot be read is a fault. */
async function absent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
