/** Checkpoints of the log (C2SP tlog-checkpoint, tlog-cosignature): signed by it with Ed25519 and with ML-DSA-44. */
import { type Bytes, concat, fromBase64, toBase64, utf8 } from "../bytes.ts";
import {
  COSIGNATURE,
  ED25519,
  linesOf,
  ML_DSA_44,
  type Note,
  type NoteKey,
  type NoteLine,
  noteKey,
  noteLine,
  readNote,
  writeNote,
} from "./note.ts";

export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Bytes };

/** The two keys of a log. Both bear its name, which is its origin. */
export type LogKeys = { readonly ed25519: NoteKey; readonly mlDsa: NoteKey };
export type Sign = (bytes: Bytes) => Promise<Uint8Array>;
export type LogSigner = { readonly keys: LogKeys; readonly ed25519: Sign; readonly mlDsa: Sign };

export const logKeys = (origin: string, ed25519: Bytes, mlDsa: Bytes): LogKeys => ({
  ed25519: noteKey(origin, ED25519, ed25519),
  mlDsa: noteKey(origin, ML_DSA_44, mlDsa),
});

/** Without extension lines: an ML-DSA cosignature would not cover them. */
export const checkpointText = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${toBase64(root)}\n`;

export function readCheckpoint(text: string): Checkpoint | undefined {
  const [, origin = "", size = "", hash = ""] = /^([^\s+]+)\n(0|[1-9]\d{0,14})\n(\S+)\n$/u.exec(text) ?? [];
  const root = fromBase64(hash);
  return root?.byteLength === 32 ? { origin, size: Number(size), root } : undefined;
}

/** What an ML-DSA-44 cosignature signs: the subtree from 0 to the checkpoint's size. `at` is in seconds since 1970. */
export function subtreeMessage(cosigner: string, at: number, { origin, size, root }: Checkpoint): Bytes {
  const parts = [
    utf8("subtree/v1\n\0"),
    counted(cosigner),
    u64(at),
    counted(origin),
    u64(0),
    u64(size),
    root,
  ];
  return concat(parts);
}

/** What an Ed25519 cosignature (type 0x04) signs. */
export const cosignatureMessage = (at: number, text: string): Bytes =>
  utf8(`cosignature/v1\ntime ${at}\n${text}`);

/** Signs with both keys at `at`, in seconds since 1970. */
export async function signCheckpoint(checkpoint: Checkpoint, at: number, signer: LogSigner): Promise<string> {
  const { ed25519, mlDsa } = signer.keys;
  const text = checkpointText(checkpoint);
  const signed = await signer.ed25519(utf8(text));
  const cosigned = await signer.mlDsa(subtreeMessage(mlDsa.name, at, checkpoint));
  return writeNote(text, [noteLine(ed25519, signed), noteLine(mlDsa, concat([u64(at), cosigned]))]);
}

export type OpenedCheckpoint = {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
  /** Of its ML-DSA-44 signature, in seconds since 1970. */
  readonly at: number | undefined;
  /** Lines of keys that are neither the log's nor a known witness's. */
  readonly others: readonly NoteLine[];
  /** The witnesses whose signatures hold, and those with one that does not. */
  readonly cosigned: readonly NoteKey[];
  readonly forged: readonly NoteKey[];
  /** What is wrong with the log's own signatures. */
  readonly wrong?: { readonly code: "checkpoint_origin" | "checkpoint_signature"; readonly message: string };
};

/**
 * The checkpoint of a note, or what is wrong with its text. Without keys nothing is said of the log's signatures. Of a
 * witness with several lines all must hold.
 */
export async function openCheckpoint(
  text: string,
  keys: LogKeys | undefined,
  witnesses: readonly NoteKey[] = [],
): Promise<OpenedCheckpoint | string> {
  const note = readNote(text);
  if (typeof note === "string") return note;
  const checkpoint = readCheckpoint(note.text);
  if (!checkpoint) return "not the text of a checkpoint: origin, size, root";
  const [cosigned, forged]: [NoteKey[], NoteKey[]] = [[], []];
  for (const key of witnesses)
    for (const line of linesOf(note, key)) {
      const holds = await verifyLine({ note: { ...note, lines: [line] }, checkpoint }, key);
      const found = holds ? cosigned : forged;
      if (!found.includes(key)) found.push(key);
    }
  const seen = { checkpoint, note, cosigned: cosigned.filter((key) => !forged.includes(key)), forged };
  if (!keys) return { ...seen, at: undefined, others: [] };
  const { ed25519, mlDsa } = keys;
  const own = [ed25519, mlDsa, ...witnesses].flatMap((key) => linesOf(note, key));
  const others = note.lines.filter((line) => !own.includes(line));
  const at = linesOf(note, mlDsa)[0]?.signature;
  const opened = { ...seen, at: at && Number(readU64(at)), others };
  if (checkpoint.origin !== ed25519.name)
    return { ...opened, wrong: wrong("checkpoint_origin", `of the log ${checkpoint.origin}`) };
  for (const [key, name] of [
    [ed25519, "Ed25519"],
    [mlDsa, "ML-DSA-44"],
  ] as const) {
    const lines = linesOf(note, key);
    if (lines.length !== 1)
      return { ...opened, wrong: wrong("checkpoint_signature", `has ${lines.length} ${name} signatures`) };
    if (!(await verifyLine(opened, key)))
      return { ...opened, wrong: wrong("checkpoint_signature", `its ${name} signature does not hold`) };
  }
  return opened;
}

const wrong = (code: "checkpoint_origin" | "checkpoint_signature", message: string) => ({ code, message });

/** Whether the note bears a signature of the key over its checkpoint, whatever the key's type. */
export async function verifyLine(
  { note, checkpoint }: Pick<OpenedCheckpoint, "note" | "checkpoint">,
  key: NoteKey,
): Promise<boolean> {
  const [line] = linesOf(note, key);
  if (!line) return false;
  const timed = key.type !== ED25519;
  const at = Number(readU64(line.signature));
  const signature = timed ? line.signature.slice(8) : line.signature;
  if (timed && !Number.isSafeInteger(at)) return false;
  switch (key.type) {
    case ED25519:
      return verify("Ed25519", key.bytes, signature, utf8(note.text));
    case COSIGNATURE:
      return verify("Ed25519", key.bytes, signature, cosignatureMessage(at, note.text));
    case ML_DSA_44:
      return verify("ML-DSA-44", key.bytes, signature, subtreeMessage(key.name, at, checkpoint));
  }
}

const imported = new WeakMap<Bytes, Promise<CryptoKey>>();

async function verify(
  algorithm: "Ed25519" | "ML-DSA-44",
  raw: Bytes,
  signature: Bytes,
  signed: Bytes,
): Promise<boolean> {
  let key = imported.get(raw);
  if (!key) {
    // WICG webcrypto-modern-algos: its formats are not in the type definitions yet.
    const format = (algorithm === "Ed25519" ? "raw" : "raw-public") as "raw";
    key = crypto.subtle.importKey(format, raw, algorithm, true, ["verify"]);
    imported.set(raw, key);
  }
  return crypto.subtle.verify(algorithm, await key, signature, signed);
}

export function u64(value: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

function readU64(bytes: Uint8Array): bigint {
  if (bytes.byteLength < 8) return -1n;
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
}

function counted(text: string): Bytes {
  const bytes = utf8(text);
  if (bytes.byteLength > 255) throw new RangeError("a name of more than 255 bytes");
  return concat([new Uint8Array([bytes.byteLength]), bytes]);
}
