/** Where things are in the archive (EVIDENCE §5). Keys hold no names and no paths of people's work. */
import { dayOf, type SessionId } from "./ids.ts";

export const sessionFolder = (session: SessionId): string =>
  `sessions/${dayOf(session).replaceAll("-", "/")}/${session}/`;

const six = (n: number): string => String(n).padStart(6, "0");

/** How a session's segments are stored: as they are, or as age files (EVIDENCE §2). */
export type Storing = "clear" | "age";

const stored = (name: string, storing: Storing): string => (storing === "age" ? `${name}.age` : name);

export const framesName = (segment: number, storing: Storing = "clear"): string =>
  stored(`frames-${six(segment)}.ndjson.zst`, storing);
export const bytesName = (segment: number, storing: Storing = "clear"): string =>
  stored(`bytes-${six(segment)}.bin`, storing);
/** Any segment's name, of frames or of bytes. */
export const SEGMENT_NAME = /^(frames-\d{6}\.ndjson\.zst|bytes-\d{6}\.bin)(\.age)?$/;
/** A session's key, encrypted to the auditors. Not in the archive: in a store of its own, from which it can be deleted. */
export const sessionKey = (session: SessionId): string => `keys/${session}.key.age`;
export const SEAL_NAME = "seal.sigstore.json";
export const entryKey = (index: number): string => `log/entry/${index}.sigstore.json`;
export const SEAL_PUB = "trust/seal.pub";

/** The newest checkpoint. It is replaced, as a few files of `trust/` are (`durable/store/key.ts`), and nothing else. */
export const CHECKPOINT = "log/checkpoint";
/** `path` is a tile's, as C2SP tlog-tiles has it. */
export const tileKey = (path: string): string => `log/${path}`;
/** Every checkpoint there was, by size and the time it was signed, in seconds since 1970. */
export const checkpointKey = (size: number, at: number): string => `log/checkpoints/${size}-${at}`;

/** What a timestamp authority said of a stored checkpoint: a TimeStampResp, DER. */
export const checkpointStampKey = (size: number, at: number): string => `${checkpointKey(size, at)}.tsr`;

export const LOG_VKEY = "trust/log.vkey";
export const LOG_PQ_VKEY = "trust/log-pq.vkey";
/** Replaced when another timestamp authority is configured. */
export const TRUSTED_ROOT = "trust/trusted_root.json";
/** The newest timestamp authority's certificates; replaced likewise. */
export const TSA_CERTIFICATES = "trust/tsa.pem";
export const TSA_CHAINS = "trust/tsa/";
/** Every one there was, by the SHA-256 of its bytes, hex. */
export const tsaChainKey = (digest: string): string => `${TSA_CHAINS}${digest}.pem`;
/** The newest; replaced when the configuration names other witnesses. */
export const WITNESS_POLICY = "trust/witness-policy";
export const WITNESS_POLICIES = "trust/witness-policies/";
/** Every policy there was, by the first checkpoint that was made under it and the SHA-256 of its bytes, hex. */
export const policyKey = (size: number, at: number, digest: string): string =>
  `${WITNESS_POLICIES}${size}-${at}-${digest}`;
/** Sessions sealed on a UTC day, `yyyy-mm-dd`: a Hive partition, as DuckDB and Athena read them. */
export const indexKey = (day: string, part: number): string => `index/date=${day}/part-${part}.parquet`;

export const PROBE_PREFIX = "probe/";

/** What a probe of the store puts, by what its key ends in. Each differs from every other in more than one byte. */
export const PROBE_SAYS = {
  canary: "canary",
  another: "another",
  shorten: "kept",
  writer: (n: number): string => `writer ${n}${n}`,
} as const;

/** Whether an object below `probe/` holds what a probe puts there. */
export function isOfProbe(key: string, said: string): boolean {
  if (key.endsWith("-race")) return /^writer (\d)\1$/.test(said);
  return said === (key.endsWith("-shorten") ? PROBE_SAYS.shorten : PROBE_SAYS.canary);
}

/** The first log of an archive lies at its root; each that goes on for the one before has a folder, with `log/` and `trust/`. */
export const SHARDS = "shards/";
export const shardFolder = (origin: string): string => `${SHARDS}${origin}/`;
