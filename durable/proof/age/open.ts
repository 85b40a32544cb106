/** Opens age files with identities: what an auditor does with `key.age`, and with a session's key then. */
import { Decrypter } from "age-encryption";
import { type Bytes, concat, utf8 } from "../bytes.ts";
import { openPayload } from "./stream.ts";
import { AgeUnreadable } from "./unreadable.ts";

/** `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`, one a line; blank lines and those that begin with # are none. */
export function readIdentities(text: string): readonly string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const identities = lines.filter((line) => line !== "" && !line.startsWith("#"));
  for (const identity of identities) decrypterOf([identity]);
  if (identities.length === 0) throw new AgeUnreadable("there is no identity (AGE-SECRET-KEY-1…)");
  return identities;
}

/** Throws `AgeUnreadable`. */
export async function openFile(file: Bytes, identities: readonly string[]): Promise<Bytes> {
  const header = headerOf(file);
  if (!header) throw new AgeUnreadable("it is not an age file");
  let fileKey: Uint8Array;
  try {
    fileKey = await decrypterOf(identities).decryptHeader(header);
  } catch (cause) {
    if (cause instanceof AgeUnreadable) throw cause;
    throw new AgeUnreadable(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const plain = openPayload(fileKey, file.subarray(header.byteLength));
  if (!plain) throw new AgeUnreadable("it is not, to the byte, what was encrypted");
  return plain;
}

function decrypterOf(identities: readonly string[]): Decrypter {
  const decrypter = new Decrypter();
  for (const identity of identities) {
    try {
      decrypter.addIdentity(identity);
    } catch (cause) {
      // Nothing of the line is repeated: it may be a secret with a slip of the pen in it.
      throw new AgeUnreadable("a line is no identity of age (AGE-SECRET-KEY-1…)", { cause });
    }
  }
  return decrypter;
}

const MAC_LINE = utf8("\n--- ");

/** Up to the LF of the MAC's line. A header is lines of text, a few for each recipient. */
function headerOf(file: Bytes): Bytes | undefined {
  const head = file.subarray(0, 1024 * 1024);
  for (let at = head.indexOf(0x0a); at >= 0; at = head.indexOf(0x0a, at + 1)) {
    if (!MAC_LINE.every((byte, i) => head[at + i] === byte)) continue;
    const end = head.indexOf(0x0a, at + 1);
    return end < 0 ? undefined : concat([head.subarray(0, end + 1)]);
  }
  return undefined;
}
