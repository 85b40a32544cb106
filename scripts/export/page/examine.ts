import { SEAL_PUB } from "#durable/format/layout.ts";
import { readUtf8 } from "#durable/proof/bytes.ts";
import { importSealKey, KeyUnreadable, readPem, type SealKey } from "#durable/proof/key.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import type { Embedded } from "./embedded.ts";
import { againstHint, type HeldKeys } from "./held-key.ts";

export type Examined = {
  readonly verified: Verified;
  /** What the auditor gave, and whether it was there to hold the evidence against. */
  readonly held: { readonly seal: boolean; readonly log: boolean };
  readonly published: SealKey | undefined;
};

/** Verifies the session, by the auditor's keys where there are some. `now` is milliseconds since 1970. */
export async function examine(embedded: Embedded, held: HeldKeys, now: number): Promise<Examined> {
  const published = await publishedKey(embedded);
  const compared = held.key ?? (held.hint === undefined ? undefined : againstHint(held.hint, published));
  const other = compared && "code" in compared ? compared : undefined;
  const key = compared && !("code" in compared) ? compared : undefined;
  const options = { now, ...(key && { key }), ...(held.log && { log: held.log }) };
  const verified = await verifyArchive(embedded.source, options, embedded.session);
  return {
    verified: other
      ? { ...verified, integrity: "INVALID", findings: [other, ...verified.findings] }
      : verified,
    held: { seal: compared !== undefined, log: held.log !== undefined },
    published,
  };
}

async function publishedKey({ objects }: Embedded): Promise<SealKey | undefined> {
  try {
    return await importSealKey(readPem(readUtf8(objects.get(SEAL_PUB) ?? new Uint8Array()) ?? ""));
  } catch (error) {
    if (error instanceof KeyUnreadable) return undefined;
    throw error;
  }
}
