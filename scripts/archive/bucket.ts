/** The bucket that steno.toml configures, with the keys it refers to. */
import type { Archive } from "#durable/store/archive.ts";
import type { Prober } from "#durable/store/probe/probe.ts";
import { s3Probe } from "#durable/store/probe/s3-probe.ts";
import { s3Archive } from "#durable/store/s3-archive.ts";
import type { Finding } from "#scripts/config/finding.ts";
import { resolveSecret } from "#scripts/config/secret.ts";
import type { ArchiveSettings } from "#scripts/config/settings.ts";

type BucketSettings = Extract<ArchiveSettings, { readonly kind: "s3" }>;

/** A probe takes some fourteen calls. */
const PROBE_MS = 60_000;

/** What is to be said of its keys, and the archive and its probe where they are there. Opens nothing yet. */
export function bucketArchive(
  { endpoint, bucket, region, prefix, retentionDays, accessKey, secretKey }: BucketSettings,
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): { readonly findings: readonly Finding[]; readonly archive?: Archive; readonly prober?: Prober } {
  const access = resolveSecret("archive.access_key", accessKey, env);
  const secret = resolveSecret("archive.secret_key", secretKey, env);
  const findings = [...access.findings, ...secret.findings];
  if (access.text === undefined || secret.text === undefined) return { findings };
  const place = { endpoint: endpoint.base, bucket, region, prefix, retentionDays };
  const keys = { accessKeyId: access.text, secretAccessKey: secret.text };
  const options = { ...place, ...keys, now: Date.now, timeoutMs };
  return { findings, archive: s3Archive(options), prober: s3Probe({ ...options, timeoutMs: PROBE_MS }) };
}
