/** The files of `trust/`: whose log it is, once; and the timestamp authorities there were, the trusted root with all of them. */
import * as v from "valibot";
import {
  LOG_PQ_VKEY,
  LOG_VKEY,
  SEAL_PUB,
  TRUSTED_ROOT,
  TSA_CERTIFICATES,
  tsaChainKey,
} from "#durable/format/layout.ts";
import { sha256, toHex, utf8 } from "#durable/proof/bytes.ts";
import type { LogKeys } from "#durable/proof/log/checkpoint.ts";
import { trustedRoot, vkeyFile } from "#durable/proof/log/trust.ts";
import {
  type Certificate,
  readCertificates,
  writeCertificates,
} from "#durable/proof/timestamp/certificate.ts";
import type { Archive } from "../archive.ts";
import type { LedgerRows } from "./rows.ts";

/** What is being published, kept before the first put. Chains are PEM; the newest is the last one that was configured. */
const Authorities = v.object({
  chains: v.array(v.string()),
  newest: v.string(),
  published: v.boolean(),
});
type Authorities = v.InferOutput<typeof Authorities>;

const FACT = "timestamp-authorities";

/** Publishes what is not there yet, before the first checkpoint that is made under it. */
export async function putTrust(
  archive: Archive,
  rows: LedgerRows,
  keys: LogKeys,
  sealPub: string,
  chain: readonly Certificate[],
): Promise<void> {
  const known = rows.fact("trust");
  if (known === undefined) {
    const files = [
      [SEAL_PUB, utf8(sealPub)],
      [LOG_VKEY, vkeyFile(keys, "ed25519")],
      [LOG_PQ_VKEY, vkeyFile(keys, "mlDsa")],
    ] as const;
    for (const [key, bytes] of files) await archive.put(key, bytes, { locked: false });
    await archive.replace(TRUSTED_ROOT, trustedRoot(keys, chainsOf(rows)));
    rows.setFact("trust", "published");
  }
  if (chain.length > 0) await putAuthority(archive, rows, keys, writeCertificates(chain));
}

async function putAuthority(archive: Archive, rows: LedgerRows, keys: LogKeys, pem: string): Promise<void> {
  const before = authoritiesIn(rows);
  const authorities =
    before?.newest === pem
      ? before
      : {
          chains: [...(before?.chains.filter((chain) => chain !== pem) ?? []), pem],
          newest: pem,
          published: false,
        };
  if (authorities.published) return;
  rows.setFact(FACT, JSON.stringify(authorities));
  await archive.put(tsaChainKey(digestOf(pem)), utf8(pem), { locked: true });
  await archive.replace(TSA_CERTIFICATES, utf8(pem));
  await archive.replace(TRUSTED_ROOT, trustedRoot(keys, chainsOf(rows)));
  rows.setFact(FACT, JSON.stringify({ ...authorities, published: true } satisfies Authorities));
}

function authoritiesIn(rows: LedgerRows): Authorities | undefined {
  const known = rows.fact(FACT);
  return known === undefined ? undefined : v.parse(Authorities, JSON.parse(known));
}

/** In the order of their keys in the archive, as a reader lists them. */
const chainsOf = (rows: LedgerRows): (readonly Certificate[])[] =>
  (authoritiesIn(rows)?.chains ?? [])
    .toSorted((a, b) => (digestOf(a) < digestOf(b) ? -1 : 1))
    .map((pem) => readCertificates(pem))
    .filter((read) => typeof read !== "string");

const digestOf = (pem: string): string => toHex(sha256(utf8(pem)));
