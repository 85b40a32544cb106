/** A refusal in Git LFS's own words (git-lfs, Batch API, Response Errors): git-lfs shows `message`. */
import type { Refusal, RefusalCode } from "#durable/format/refusal.ts";

export const LFS_JSON = "application/vnd.git-lfs+json";

/**
 * Statuses that clients take as said once and for all: they try again by themselves after 5xx, which is right only where
 * that can help.
 */
const STATUS: Partial<Readonly<Record<RefusalCode, number>>> = { malformed: 422, upstream_protocol: 422 };

export function refuseLfs(refusal: Refusal, message: string): Response {
  const { code, later } = refusal;
  const headers = new Headers({ "content-type": LFS_JSON, "cache-control": "no-cache" });
  // Without a challenge git-lfs does not ask the credential helper.
  if (code === "unauthenticated") headers.set("lfs-authenticate", 'Basic realm="steno", charset="UTF-8"');
  if (later !== undefined) headers.set("retry-after", String(later));
  return new Response(JSON.stringify({ message }), { status: STATUS[code] ?? refusal.status, headers });
}
