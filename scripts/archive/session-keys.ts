/** The keys of encrypted sessions as Node programs reach them: the bucket that steno.toml names, or the directory itself. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sessionKey } from "#durable/format/layout.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";
import { S3Keys, sessionOf } from "#durable/store/keys/s3-keys.ts";
import { error, type Finding } from "#scripts/config/finding.ts";
import { resolveSecret } from "#scripts/config/secret.ts";
import type { KeysSettings } from "#scripts/config/settings.ts";
import { Folder, NODE_DISK } from "./folder.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What is to be said of its keys, and the store where they are there. Opens nothing yet. */
export function sessionKeys(
  keys: KeysSettings | undefined,
  env: Environment,
  timeoutMs: number,
): { readonly findings: readonly Finding[]; readonly store?: KeyStore } {
  if (keys === undefined)
    return {
      findings: [error("keys", "nothing is encrypted here: there is no encrypt_to, and no store of keys")],
    };
  if (keys.kind === "directory") return { findings: [], store: folderKeys(keys.path) };
  const { findings, bucket } = keysBucket(keys, env, timeoutMs);
  return { findings, ...(bucket && { store: bucket }) };
}

/** The same for a bucket, as what it is. */
export function keysBucket(
  { endpoint, bucket, region, prefix, accessKey, secretKey }: Extract<KeysSettings, { kind: "s3" }>,
  env: Environment,
  timeoutMs: number,
): { readonly findings: readonly Finding[]; readonly bucket?: S3Keys } {
  const access = resolveSecret("archive.keys_access_key", accessKey, env);
  const secret = resolveSecret("archive.keys_secret_key", secretKey, env);
  const findings = [...access.findings, ...secret.findings];
  if (access.text === undefined || secret.text === undefined) return { findings };
  const place = { endpoint: endpoint.base, bucket, region, prefix, timeoutMs };
  return {
    findings,
    bucket: new S3Keys({ ...place, accessKeyId: access.text, secretAccessKey: secret.text }),
  };
}

/** Files below `<root>/keys/`; a gateway may be writing to the same directory, and never to the same file for long. */
export function folderKeys(root: string): KeyStore {
  const folder = new Folder(root, NODE_DISK);
  return {
    async put(session, key) {
      const digest = `sha-256=:${createHash("sha256").update(key).digest("base64")}:`;
      const body = (async function* () {
        yield key;
      })();
      await folder.replace(sessionKey(session), body, { bytes: key.byteLength, digest });
    },
    async get(session) {
      const found = await folder.read(sessionKey(session));
      if (!found) return undefined;
      try {
        const parts: Uint8Array[] = [];
        for await (const part of found.body()) parts.push(part);
        return new Uint8Array(Buffer.concat(parts));
      } finally {
        await found.close();
      }
    },
    remove: (session) => folder.remove(sessionKey(session)),
    async *list() {
      if (!existsSync(join(root, "keys"))) return;
      for await (const name of folder.keys("keys/")) {
        const session = sessionOf(name);
        if (session) yield session;
      }
    },
  };
}
