/** A worker that does one call on an archive and says how it went: the proof that archives run inside workerd. */
import { createHash } from "node:crypto";
import { directoryArchive } from "#durable/store/directory-archive.ts";
import { type S3ArchiveOptions, s3Archive } from "#durable/store/s3-archive.ts";

type Env = {
  readonly S3: Omit<S3ArchiveOptions, "now" | "fetch">;
  readonly DIRECTORY: { fetch(url: string, init: RequestInit): Promise<Response> };
};

export default {
  /** `POST /<s3|directory>/<verb>?key=`; the body of a put is what is put. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const [, kind, verb] = url.pathname.split("/");
    const key = url.searchParams.get("key") ?? "";
    const archive =
      kind === "s3"
        ? s3Archive({ ...env.S3, now: Date.now })
        : directoryArchive({ fetch: (at, init) => env.DIRECTORY.fetch(at, init), retentionDays: 2 });
    try {
      if (verb === "put") {
        const bytes = new Uint8Array(await request.arrayBuffer());
        return Response.json(await archive.put(key, bytes, { locked: true }));
      }
      if (verb === "get") {
        const bytes = await archive.get(key);
        return Response.json(
          bytes && { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
        );
      }
      if (verb === "stat") return Response.json((await archive.stat(key)) ?? null);
      const keys: string[] = [];
      for await (const each of archive.list(key)) keys.push(each);
      return Response.json(keys);
    } catch (error) {
      return Response.json(
        { error: (error as Error).name, message: (error as Error).message },
        { status: 500 },
      );
    }
  },
};
