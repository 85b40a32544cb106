/** How git is kept waiting for the answer to a push or a fetch: it shows band 2 as it comes, and takes an empty band 1 for nothing. */
import type { GitFetch, GitOperation } from "#durable/format/operation.ts";
import type { Waiting } from "../../adapter.ts";
import { concat, FLUSH, packet, sideband } from "../pkt-line.ts";
import { plainLine } from "../refuse.ts";

/** Undefined for a client that reads no side band, or no report: it is told to come again, where it is told at all. */
export function waitingOf(operation: GitOperation): Waiting | undefined {
  if (operation.kind === "git.fetch") return fetching(operation);
  if (operation.kind !== "git.push") return undefined;
  const { capabilities } = operation;
  const reports = capabilities.includes("report-status") || capabilities.includes("report-status-v2");
  if (!capabilities.includes("side-band-64k") || !reports) return undefined;
  return {
    headers: [
      ["content-type", "application/x-git-receive-pack-result"],
      ["cache-control", "no-cache"],
    ],
    ...banded,
  };
}

const banded: Pick<Waiting, "line" | "sign" | "continues"> = {
  line: (text) => sideband(2, new TextEncoder().encode(`${text.split("\n").map(plainLine).join("\n")}\n`)),
  sign: packet(Uint8Array.of(1)),
  continues: ({ headers }) => (headers.get("content-encoding") ?? "identity") === "identity",
};

/**
 * The last round of a fetch in v2, whose answer is a pack and nothing before it (gitprotocol-v2(5), `packfile`). Earlier
 * rounds, v0, and answers that begin with how shallow they are wait in silence: git has no patience that runs out.
 */
function fetching({ version, done, depth, shallow, wantRefs, capabilities }: GitFetch): Waiting | undefined {
  if (version !== 2 || !done || depth !== undefined || shallow || wantRefs.length > 0) return undefined;
  if (capabilities.includes("sideband-all")) return undefined;
  return {
    headers: [
      ["content-type", "application/x-git-upload-pack-result"],
      ["cache-control", "no-cache"],
    ],
    ...banded,
    head: packet("packfile\n"),
    no: ({ message }) => concat([sideband(3, new TextEncoder().encode(`${plainLine(message)}\n`)), FLUSH]),
  };
}

/** What an approval of a fetch is for, in whichever round and however often it is asked for. */
export function fetchContent({ repository, wants, wantRefs, depth = "", filter = "" }: GitFetch): string {
  return JSON.stringify(["git.fetch", repository, wants.toSorted(), wantRefs.toSorted(), depth, filter]);
}
