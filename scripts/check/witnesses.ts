/** Whether the log's witnesses answer, with their keys, and know no other log: the newest checkpoint is shown to them again. */
import { CHECKPOINT, shardFolder } from "#durable/format/layout.ts";
import { readUtf8 } from "#durable/proof/bytes.ts";
import { readCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { readNote } from "#durable/proof/log/note.ts";
import { type Signed, witnessClient } from "#durable/store/log/witness.ts";
import { archiveSource, noSource } from "#scripts/cli/archive-source.ts";
import { error, type Finding, ok, reason, warning } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import type { WitnessAt } from "#scripts/config/values.ts";

const TIMEOUT_MS = 5_000;

type Environment = Readonly<Record<string, string | undefined>>;
type Newest = () => Promise<Signed | undefined>;

export async function witnesses(settings: Settings, env: Environment): Promise<Finding[]> {
  const { evidence, archive } = settings;
  if (evidence.witnesses.length === 0) return [];
  const source = archiveSource(archive, env);
  const folder = evidence.previousOrigins.length === 0 ? "" : shardFolder(evidence.origin);
  const checkpoint = `${folder}${CHECKPOINT}`;
  const newest: Newest = async () =>
    noSource(source) ? undefined : signedOf(await source.get(checkpoint).catch(() => undefined));
  const found = await Promise.all(evidence.witnesses.map((witness) => one(witness, newest)));
  const well = found.filter(({ level }) => level === "ok").length;
  if (well < evidence.quorum)
    found.push(error("witnesses", `${well} are well: checkpoints lack their quorum of ${evidence.quorum}`));
  return found;
}

/** What is wrong with the archive itself is said elsewhere. */
function signedOf(stored: Uint8Array | undefined): Signed | undefined {
  const note = stored && readUtf8(stored);
  const read = note === undefined ? undefined : readNote(note);
  const checkpoint = read === undefined || typeof read === "string" ? undefined : readCheckpoint(read.text);
  if (note === undefined || read === undefined || typeof read === "string" || !checkpoint) return undefined;
  return { checkpoint, text: read.text, note };
}

async function one(witness: WitnessAt, newest: Newest): Promise<Finding> {
  const at = `witness ${witness.key.name}`;
  const signed = await newest();
  if (!signed) return reach(witness, at);
  const { size } = signed.checkpoint;
  let behind: number | undefined;
  const client = witnessClient({
    ...{ key: witness.key, url: witness.url.base, timeoutMs: TIMEOUT_MS, restMs: 0 },
    ...{ fetch: (url, init) => fetch(url, init), now: () => Date.now() },
  });
  const said = await client.cosign(signed, size, async (old) => {
    if (old === size) return [];
    behind = old;
    throw new Error("the node itself has the proof");
  });
  switch (said.kind) {
    case "cosigned":
      return ok(at, `${witness.url.base} cosigned the checkpoint of ${size} entries`);
    case "contradicts": {
      // The node may have gone on since the checkpoint was read.
      const now = (await newest())?.checkpoint.size ?? size;
      return now > size ? ok(at, `${witness.url.base} is ahead with the node`) : error(at, said.why);
    }
    case "absent":
    case "resting":
      if (behind !== undefined)
        return ok(
          at,
          `${witness.url.base} saw ${behind} of ${size} entries: the next checkpoint brings it on`,
        );
      return warning(at, said.kind === "absent" ? said.why : "is left alone");
  }
}

/** Before there is a checkpoint: what is no submission must be refused as one. */
async function reach({ url }: WitnessAt, at: string): Promise<Finding> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const init = { method: "POST", body: "", redirect: "manual", signal } as const;
    const { status } = await fetch(`${url.base}/add-checkpoint`, init);
    return status === 400
      ? ok(at, `${url.base} answers; there is no checkpoint to show it yet`)
      : warning(at, `${url.base} answers ${status} to what is no submission: is it a witness?`);
  } catch (thrown) {
    return warning(at, `${url.base} does not answer: ${reason(thrown)}`);
  }
}
