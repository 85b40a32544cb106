/** The same questions to a directory archive. It is not WORM, whatever it answers: what an owner can do is not tried. */
import { PROBE_PREFIX, PROBE_SAYS } from "#durable/format/layout.ts";
import { type Archive, ArchiveConflict } from "../archive.ts";
import { broke, graded, held, type Prober, type Result, untried } from "./probe.ts";

const WRITERS = 8;
const NOT_WORM = "a directory is not WORM: whoever owns it can delete and change what is in it";

export const directoryProbe = (archive: Archive): Prober => ({
  async probe(id) {
    const key = `${PROBE_PREFIX}${id}`;
    await archive.put(key, text(PROBE_SAYS.canary), { locked: true });
    const second = await taken(archive, key, PROBE_SAYS.another);
    const race = await Promise.all(
      Array.from({ length: WRITERS }, (_, i) => taken(archive, `${key}-race`, PROBE_SAYS.writer(i))),
    );
    const won = race.filter((put) => put).length;
    const results: Result[] = [
      held("create", "a put is taken"),
      untried("retention", NOT_WORM),
      second
        ? broke("second-put", "another put of a key is taken")
        : held("second-put", "another put of a key is refused"),
      won === 1
        ? held("race", `of ${WRITERS} puts of one key at once, one is taken`)
        : broke("race", `of ${WRITERS} puts of one key at once, ${won} are taken`),
      untried("delete-version", NOT_WORM),
      untried("shorten", NOT_WORM),
    ];
    const { reasons, ...probed } = graded("directory", results);
    return {
      ...probed,
      reasons: [...new Set(reasons.map((reason) => reason.replace(/^[a-z-]+: (?=a directory)/, "")))],
    };
  },
});

const text = (said: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(said) as Uint8Array<ArrayBuffer>;

async function taken(archive: Archive, key: string, said: string): Promise<boolean> {
  try {
    await archive.put(key, text(said), { locked: true });
    return true;
  } catch (cause) {
    if (cause instanceof ArchiveConflict) return false;
    throw cause;
  }
}
