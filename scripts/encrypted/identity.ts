/** An auditor's identities, from the file that `age-keygen` writes. */
import { readFile } from "node:fs/promises";
import { readIdentities } from "#durable/proof/age/open.ts";
import { AgeUnreadable } from "#durable/proof/age/unreadable.ts";

/** Throws a sentence that names the file, and nothing of what is in it. */
export async function identitiesIn(path: string): Promise<readonly string[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  try {
    if (text.startsWith("age-encryption.org/") || text.startsWith("-----BEGIN AGE"))
      throw new AgeUnreadable("it is encrypted itself: age -d it first");
    return readIdentities(text);
  } catch (cause) {
    if (!(cause instanceof AgeUnreadable)) throw cause;
    throw new Error(`${path} holds no identity of age: ${cause.message}`, { cause });
  }
}
