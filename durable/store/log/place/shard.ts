/** A log that lies in a folder of the archive, seen as if it lay at the root. */
import type { Archive } from "../../archive.ts";

/** `folder` is empty, or ends in a slash. */
export function within(archive: Archive, folder: string): Archive {
  if (folder === "") return archive;
  return {
    retention: archive.retention,
    put: (key, bytes, options) => archive.put(`${folder}${key}`, bytes, options),
    replace: (key, bytes) => archive.replace(`${folder}${key}`, bytes),
    get: (key) => archive.get(`${folder}${key}`),
    stat: (key) => archive.stat(`${folder}${key}`),
    async *list(prefix) {
      for await (const key of archive.list(`${folder}${prefix}`)) yield key.slice(folder.length);
    },
  };
}
