/** C2SP signed notes: a text, and lines that sign it. Keys are named by vkeys. Nothing is verified here. */
import { type Bytes, concat, equal, fromBase64, fromHex, sha256, toBase64, toHex, utf8 } from "../bytes.ts";

/** Signature types of C2SP signed-note: of the text itself, of a cosignature/v1 message, and of a subtree/v1 message. */
export const ED25519 = 0x01;
export const COSIGNATURE = 0x04;
export const ML_DSA_44 = 0x06;
export type KeyType = typeof ED25519 | typeof COSIGNATURE | typeof ML_DSA_44;

const KEY_BYTES: Readonly<Record<KeyType, number>> = {
  [ED25519]: 32,
  [COSIGNATURE]: 32,
  [ML_DSA_44]: 1312,
};

export type NoteKey = {
  readonly name: string;
  readonly type: KeyType;
  /** As WebCrypto's `raw` has it. */
  readonly bytes: Bytes;
  /** The first four of SHA-256(name || LF || type || bytes), which is the Sigstore log id. */
  readonly id: Bytes;
};

export type NoteLine = { readonly name: string; readonly id: Bytes; readonly signature: Bytes };
export type Note = { readonly text: string; readonly lines: readonly NoteLine[] };

const NAME = /^[^\s+]+$/u;

export function noteKey(name: string, type: KeyType, bytes: Bytes): NoteKey {
  if (!NAME.test(name)) throw new RangeError(`not a key name: ${JSON.stringify(name)}`);
  if (bytes.byteLength !== KEY_BYTES[type])
    throw new RangeError(`a key of ${bytes.byteLength} bytes, of type ${type}`);
  return { name, type, bytes, id: keyHash(name, type, bytes).slice(0, 4) };
}

export const keyHash = (name: string, type: KeyType, bytes: Bytes): Bytes =>
  sha256(utf8(`${name}\n`), new Uint8Array([type]), bytes);

export const writeVkey = ({ name, type, bytes, id }: NoteKey): string =>
  `${name}+${toHex(id)}+${toBase64(concat([new Uint8Array([type]), bytes]))}`;

/** The key of a vkey, or what is wrong with it. */
export function readVkey(text: string): NoteKey | string {
  const [, name = "", hash = "", key = ""] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/u.exec(text) ?? [];
  const bytes = fromBase64(key);
  const id = fromHex(hash);
  if (name === "" || !id || !bytes) return "not a vkey: name+hash+key";
  const type = ([ED25519, COSIGNATURE, ML_DSA_44] as const).find((known) => known === bytes[0]);
  if (type === undefined) return `a key of unknown type ${bytes[0] ?? "none"}`;
  if (bytes.byteLength - 1 !== KEY_BYTES[type]) return `a key of ${bytes.byteLength - 1} bytes`;
  const read = noteKey(name, type, bytes.slice(1));
  return equal(read.id, id) ? read : "the hash of the vkey is not its key's";
}

export const noteLine = ({ name, id }: NoteKey, signature: Uint8Array): string =>
  `\u2014 ${name} ${toBase64(concat([id, signature]))}\n`;

/** `text` ends in LF; `lines` are what `noteLine` gives. */
export const writeNote = (text: string, lines: readonly string[]): string => `${text}\n${lines.join("")}`;

const LINE = /^\u2014 ([^\s+]+) (\S+)$/u;
/** C2SP: a note has at most 100 signatures here, so that a bad one cannot exhaust anything. */
const LINES_MAX = 100;

/** The note of a text, or what is wrong with it. One text for one note: base64 is canonical. */
export function readNote(note: string): Note | string {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) return "not a signed note: no signatures after an empty line";
  const text = note.slice(0, cut + 1);
  const lines: NoteLine[] = [];
  for (const line of note.slice(cut + 2, -1).split("\n")) {
    const [, name = "", signed = ""] = LINE.exec(line) ?? [];
    const bytes = fromBase64(signed);
    if (name === "" || !bytes || bytes.byteLength < 5)
      return "not a signed note: a line that is no signature";
    lines.push({ name, id: bytes.slice(0, 4), signature: bytes.slice(4) });
  }
  return lines.length > LINES_MAX ? "not a signed note: too many signatures" : { text, lines };
}

export const linesOf = ({ lines }: Note, key: NoteKey): NoteLine[] =>
  lines.filter(({ name, id }) => name === key.name && equal(id, key.id));

/** Whether two vkeys are one. */
export const sameKey = (a: NoteKey, b: NoteKey): boolean =>
  a.type === b.type && a.name === b.name && equal(a.bytes, b.bytes);
