/** How git is kept waiting for the answer to a push: it shows band 2 as it comes, and takes an empty band 1 for nothing. */
import type { GitOperation } from "#durable/format/operation.ts";
import type { Waiting } from "../../adapter.ts";
import { packet, sideband } from "../pkt-line.ts";
import { plainLine } from "../refuse.ts";

/** Undefined for a client that reads no side band, or no report: it is told to come again, where it is told at all. */
export function waitingOf(operation: GitOperation): Waiting | undefined {
  if (operation.kind !== "git.push") return undefined;
  const { capabilities } = operation;
  const reports = capabilities.includes("report-status") || capabilities.includes("report-status-v2");
  if (!capabilities.includes("side-band-64k") || !reports) return undefined;
  return {
    headers: [
      ["content-type", "application/x-git-receive-pack-result"],
      ["cache-control", "no-cache"],
    ],
    line: (text) => sideband(2, new TextEncoder().encode(`${text.split("\n").map(plainLine).join("\n")}\n`)),
    sign: packet(Uint8Array.of(1)),
    continues: ({ headers }) => (headers.get("content-encoding") ?? "identity") === "identity",
  };
}
