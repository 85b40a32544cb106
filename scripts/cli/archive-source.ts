/** The configured archive, to read from: an S3 bucket, or a directory as it lies there. */

import type { Archive } from "#durable/store/archive.ts";
import { bucketArchive } from "#scripts/archive/bucket.ts";
import { Folder, NODE_DISK } from "#scripts/archive/folder.ts";
import { error, type Finding } from "#scripts/config/finding.ts";
import type { ArchiveSettings } from "#scripts/config/settings.ts";
import type { Terminal } from "./terminal.ts";

export type Source = Pick<Archive, "get" | "list">;

const TIMEOUT_MS = 60_000;

/** The source, or why there is none. Opens nothing yet. */
export function archiveSource(archive: ArchiveSettings, env: Terminal["env"]): Source | readonly Finding[] {
  switch (archive.kind) {
    case "directory":
      return folderSource(archive.path);
    case "s3": {
      const { findings, archive: store } = bucketArchive(archive, env, TIMEOUT_MS);
      return store ?? findings;
    }
  }
}

/** Reads only; a gateway may be writing to the same directory. */
export function folderSource(root: string): Source {
  const folder = new Folder(root, NODE_DISK);
  return {
    async get(key) {
      const found = await folder.read(key);
      if (!found) return undefined;
      try {
        const parts: Uint8Array[] = [];
        for await (const part of found.body()) parts.push(part);
        return new Uint8Array(Buffer.concat(parts));
      } finally {
        await found.close();
      }
    },
    list: (prefix) => folder.keys(prefix),
  };
}

export const noSource = (found: Source | readonly Finding[]): found is readonly Finding[] =>
  Array.isArray(found);

export const strange = (key: string): Finding =>
  error("archive", `${JSON.stringify(key)} is not a key of ours: left out`);
