/** What is asked of the server so that a push can be compared: trees without their files, of a few commits. */
import type { GitFetch } from "#durable/format/operation.ts";
import type { ObjectFormat } from "../pack/bytes.ts";
import { readWholePack, type Settled } from "../pack/whole-pack.ts";
import { concat, DELIM, FLUSH, PacketReader, packet } from "../pkt-line.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** More roots than that come from no ordinary push. */
export const WANTS_MAX = 256;

/** `blob:none` for trees; undefined where the wants are files themselves. */
export type Look = {
  readonly wants: readonly string[];
  readonly filter: "blob:none" | undefined;
};

/** A protocol v2 fetch of those objects alone, one commit deep. */
export function lookRequest({ wants, filter }: Look, format: ObjectFormat): Bytes {
  return concat([
    packet("command=fetch\n"),
    packet("agent=steno\n"),
    packet(`object-format=${format}\n`),
    DELIM,
    packet("no-progress\n"),
    packet("ofs-delta\n"),
    packet("deepen 1\n"),
    ...(filter ? [packet(`filter ${filter}\n`)] : []),
    ...wants.map((id) => packet(`want ${id}\n`)),
    packet("done\n"),
    FLUSH,
  ]);
}

export const lookFetch = (repository: string, { wants, filter }: Look, format: ObjectFormat): GitFetch => ({
  kind: "git.fetch",
  repository,
  version: 2,
  wants,
  wantRefs: [],
  haves: 0,
  depth: "1",
  ...(filter && { filter }),
  done: true,
  capabilities: ["agent=steno", `object-format=${format}`, "no-progress", "ofs-delta"],
});

/**
 * Gives `take` every object of the answer. Returns why there is none, in the server's words where it has some; undefined
 * when it was read. A server that lacks filters says so here.
 */
export async function readAnswer(
  answer: Bytes | undefined,
  format: ObjectFormat,
  take: (object: Settled) => void,
): Promise<string | undefined> {
  if (!answer) return "the server gave no answer, or the gateway may not ask it";
  try {
    const pack = packIn(answer);
    if (typeof pack === "string") return pack;
    let given = false;
    const next = async () => {
      if (given) return undefined;
      given = true;
      return pack;
    };
    const again = async (offset: number, length: number) => pack.subarray(offset, offset + length);
    await readWholePack({ next, again }, format, take);
    return undefined;
  } catch (thrown) {
    // An answer that is no pack tells nothing; the push is then not compared, which is recorded.
    return `the server's answer cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

/** The pack of a v2 answer, or what the server says instead. */
function packIn(answer: Bytes): Bytes | string {
  const packets = new PacketReader("upstream_protocol");
  packets.feed(answer);
  const pack: Uint8Array[] = [];
  let inPack = false;
  for (let next = packets.next(); next; next = packets.next()) {
    if (next.kind !== "data") continue;
    const { payload } = next;
    if (inPack && payload[0] === 1) pack.push(payload.subarray(1));
    else if (inPack && payload[0] === 3) return said(payload.subarray(1));
    else if (text(payload.subarray(0, 4)) === "ERR ") return said(payload.subarray(4));
    else if (text(payload.subarray(0, 9)) === "packfile\n") inPack = true;
  }
  return pack.length > 0 ? concat(pack) : "the server sent no objects";
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const said = (bytes: Uint8Array): string => `the server says: ${text(bytes).trim().slice(0, 300)}`;
