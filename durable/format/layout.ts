/** Where things are in the archive (EVIDENCE §5). Keys hold no names and no paths of people's work. */
import { dayOf, type SessionId } from "./ids.ts";

export const sessionFolder = (session: SessionId): string =>
  `sessions/${dayOf(session).replaceAll("-", "/")}/${session}/`;

const six = (n: number): string => String(n).padStart(6, "0");

export const framesName = (segment: number): string => `frames-${six(segment)}.ndjson.zst`;
export const bytesName = (segment: number): string => `bytes-${six(segment)}.bin`;
export const SEAL_NAME = "seal.sigstore.json";
export const entryKey = (index: number): string => `log/entry/${index}.sigstore.json`;
export const SEAL_PUB = "trust/seal.pub";
