/** The files of `trust/` that name the log: its two keys, and what follows from them. */
import { LOG_PQ_VKEY, LOG_VKEY, TRUSTED_ROOT } from "#durable/format/layout.ts";
import { equal } from "../../bytes.ts";
import type { Report } from "../../finding.ts";
import { readLine } from "../../log/bundle.ts";
import type { LogKeys } from "../../log/checkpoint.ts";
import { ED25519, type KeyType, ML_DSA_44, type NoteKey, readVkey } from "../../log/note.ts";
import { trustedRoot, vkeyFile } from "../../log/trust.ts";
import type { Source } from "../../read/source.ts";
import type { Certificate } from "../../timestamp/certificate.ts";

/** `held` are the auditor's own. Without them the archive's are used. `root`: it is a whole archive. */
export async function readLogKeys(
  source: Source,
  report: Report,
  held: LogKeys | undefined,
  chains: readonly (readonly Certificate[])[],
  root: boolean,
): Promise<LogKeys | undefined> {
  const asked = root || !held;
  const ed25519 = await readKey(source, report, LOG_VKEY, ED25519, asked);
  const mlDsa = await readKey(source, report, LOG_PQ_VKEY, ML_DSA_44, asked);
  let published: LogKeys | undefined;
  if (ed25519 && mlDsa && ed25519.name !== mlDsa.name)
    report("key_malformed", LOG_PQ_VKEY, `of ${mlDsa.name}; the log is ${ed25519.name}`);
  else if (ed25519 && mlDsa) published = { ed25519, mlDsa };
  for (const which of ["ed25519", "mlDsa"] as const) {
    const same = !held || !published || equal(vkeyFile(held, which), vkeyFile(published, which));
    if (!same)
      report(
        "key_other",
        which === "ed25519" ? LOG_VKEY : LOG_PQ_VKEY,
        "not the log's key that the auditor holds",
      );
  }
  if (root && published) await checkRoot(source, report, published, chains);
  return held ?? published;
}

async function readKey(
  source: Source,
  report: Report,
  object: string,
  type: KeyType,
  asked: boolean,
): Promise<NoteKey | undefined> {
  const bytes = await source.get(object);
  if (!bytes) {
    if (asked) report("key_missing", object, "the key that signs the log's checkpoints is not there");
    return undefined;
  }
  const key = readVkey(readLine(bytes) ?? "");
  if (typeof key === "string") report("key_malformed", object, key);
  else if (key.type !== type) report("key_malformed", object, `a key of type ${key.type}, not ${type}`);
  else return key;
  return undefined;
}

/** What other people's tools are given must name the same log: to the byte, since all of it follows from the keys and the authorities. */
async function checkRoot(
  source: Source,
  report: Report,
  keys: LogKeys,
  chains: readonly (readonly Certificate[])[],
): Promise<void> {
  const bytes = await source.get(TRUSTED_ROOT);
  if (!bytes) report("object_missing", TRUSTED_ROOT, "every archive has it");
  else if (!equal(bytes, trustedRoot(keys, chains)))
    report(
      "key_malformed",
      TRUSTED_ROOT,
      "not what follows from the log's keys and its timestamp authorities",
    );
}
