/** Whether the refs of a push are still where its sender saw them (gitprotocol-v2(5), ls-refs). */
import type { GitContained, Header } from "#durable/format/frame.ts";
import type { GitOperation, GitPush, GitRefs } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Again } from "../../adapter.ts";
import { isZero } from "../history/ref-update.ts";
import { concat, DELIM, FLUSH, lineOf, PacketReader, packet } from "../pkt-line.ts";
import { type Around, inspectedOf } from "../push/inspected.ts";

/** So many refs are looked at; the server itself holds every one against its old id, whatever is found here. */
const REFS_MAX = 1_000;

type Bytes = Uint8Array<ArrayBuffer>;

export function movedSince(
  push: GitPush,
  { connection, outgoing }: Pick<Around, "connection" | "outgoing">,
): Again<GitOperation, GitContained> {
  const updates = push.updates.slice(0, REFS_MAX);
  const prefixes = updates.map(({ ref }) => ref);
  const operation: GitRefs = {
    kind: "git.refs",
    repository: push.repository,
    service: "git-upload-pack",
    version: 2,
    prefixes,
  };
  const format = (updates[0]?.new.length ?? 40) === 64 ? "sha256" : "sha1";
  const bytes = concat([
    packet("command=ls-refs\n"),
    packet("agent=steno\n"),
    packet(`object-format=${format}\n`),
    DELIM,
    ...prefixes.map((prefix) => packet(`ref-prefix ${prefix}\n`)),
    FLUSH,
  ]);
  const headers: Header[] = [
    ["content-type", "application/x-git-upload-pack-request"],
    ["accept", "application/x-git-upload-pack-result"],
    ["git-protocol", "version=2"],
  ];
  const path = outgoing.path.replace(/git-receive-pack$/, "git-upload-pack");
  const body = { kind: "whole", bytes } as const;
  return {
    look: inspectedOf(operation, [], { connection, outgoing: { method: "POST", path, headers }, body }),
    changed: (answer) => {
      const now = answer && refsIn(answer);
      if (!now) return undefined;
      // One that is not told of may be hidden, or gone: the server knows.
      const moved = updates.filter(({ ref, old }) => now.has(ref) && (isZero(old) || now.get(ref) !== old));
      if (moved.length === 0) return undefined;
      const names = moved.slice(0, 5).map(({ ref }) => ref);
      return `${names.join(", ")} moved while the push waited for approval: fetch, and push again`;
    },
  };
}

/** Undefined when the answer is not understood: then nothing is known, and the server decides alone. */
function refsIn(answer: Bytes): ReadonlyMap<string, string> | undefined {
  const reader = new PacketReader("upstream_protocol");
  const refs = new Map<string, string>();
  try {
    reader.feed(answer);
    for (let read = reader.next(); read; read = reader.next()) {
      if (read.kind !== "data") return refs;
      const [id = "", ref = ""] = lineOf(read.payload, "upstream_protocol").split(" ");
      if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) return undefined;
      refs.set(ref, id);
    }
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}
