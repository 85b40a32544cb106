/** What the files of a disclosure are called: a frame's line, its proof, and the body bytes it points to. */
export const lineName = (frame: number): string => `frame-${frame}.json`;
export const proofName = (frame: number): string => `frame-${frame}.tlog-proof`;
export const chunkName = (frame: number): string => `frame-${frame}.bytes`;
/** That the seal is in the log, with the log's checkpoint: from the bundle, in words that Go's sumdb reads. */
export const SEAL_PROOF = "seal.tlog-proof";

export const DISCLOSED = /^frame-(0|[1-9]\d{0,14})\.(json|tlog-proof|bytes)$/;
