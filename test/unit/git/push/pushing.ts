/** A push of stock git's objects through the adapter, whose looks are answered by stock git-upload-pack. */
import { execFileSync } from "node:child_process";
import type { Changes } from "#durable/format/frame.ts";
import type { GitOperation } from "#durable/format/operation.ts";
import { incomingOf, sound } from "#test/unit/adapter-contract.ts";
import type { Incoming, Inspected } from "#workers/adapters/adapter.ts";
import { gitAdapter } from "#workers/adapters/git/adapter.ts";
import { connection } from "../gateway.ts";
import { environment, gitBytes, type Workspace } from "../repository.ts";
import { pushBody, type UpdateLine } from "../wire.ts";

export type Pushed = {
  readonly inspected: Inspected<GitOperation>;
  readonly changes: readonly Changes[];
  readonly uncompared: readonly string[];
  /** What was asked of the server meanwhile. */
  readonly looks: number;
};
export type Server = (request: Uint8Array) => Uint8Array<ArrayBuffer> | undefined;

/** What stands behind every smart HTTP server. */
export const servedBy =
  (workspace: Workspace, directory: string): Server =>
  (request) =>
    new Uint8Array(
      execFileSync("git", ["upload-pack", "--stateless-rpc", directory], {
        env: { ...environment(workspace), GIT_PROTOCOL: "version=2" },
        input: request,
        stdio: ["pipe", "pipe", "ignore"],
        maxBuffer: 1 << 26,
      }),
    );

let pushes = 0;

export async function inspected(
  body: Uint8Array,
  serve: Server,
  over: Partial<Incoming["connection"]> = {},
  repository = `app-${pushes++}`,
): Promise<Pushed> {
  const example = {
    name: "",
    method: "POST",
    path: `/${repository}/git-receive-pack`,
    query: "",
    headers: { "content-type": "application/x-git-receive-pack-request" },
    body: new Uint8Array(body),
  };
  let push = await sound(gitAdapter.inspect(incomingOf(example, { ...connection, ...over })));
  let looks = 0;
  for (; push.unsettled && looks < 16; looks++) {
    const { look, settle } = push.unsettled;
    push = await settle(look.body.kind === "whole" ? serve(look.body.bytes) : undefined);
  }
  const merged = new Map<string, Changes>();
  for (const { changes } of push.frames) {
    if (!changes) continue;
    const name = changes.ref ?? changes.commit ?? "";
    merged.set(name, { ...changes, paths: [...(merged.get(name)?.paths ?? []), ...changes.paths] });
  }
  const uncompared = push.frames.flatMap((frame) => frame.uncompared ?? []);
  return { inspected: push, changes: [...merged.values()], uncompared, looks };
}

/** What git would push for these updates: all that the new ids need and the old ones, and `has`, do not have. */
export async function bodyOf(
  workspace: Workspace,
  path: string,
  updates: readonly UpdateLine[],
  has: readonly string[] = [],
): Promise<Uint8Array> {
  const isId = (id: string): boolean => !/^0+$/.test(id);
  const wanted = updates.map(([, next]) => next).filter(isId);
  const known = [...updates.map(([old]) => old).filter(isId), ...has].map((id) => `^${id}`);
  const args = ["pack-objects", "--stdout", "--revs", "-q", "--delta-base-offset"];
  const pack = await gitBytes(workspace, path, args, `${[...wanted, ...known].join("\n")}\n`);
  const [, next = ""] = updates[0] ?? [];
  const format = next.length === 64 ? "sha256" : "sha1";
  return pushBody(updates, `report-status side-band-64k object-format=${format}`, [], pack);
}

/** `git diff --raw` between two commits, or of all there is in one, in the words of a frame. */
export async function rawDiff(
  workspace: Workspace,
  path: string,
  old: string | undefined,
  next: string,
): Promise<readonly string[]> {
  const base =
    old ?? (await gitBytes(workspace, path, ["hash-object", "-t", "tree", "/dev/null"])).toString().trim();
  const args = ["diff-tree", "-r", "--raw", "--no-renames", "-z", "--full-index", "--no-abbrev", base, next];
  const fields = (await gitBytes(workspace, path, args)).toString().split("\0").slice(0, -1);
  const lines: string[] = [];
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]?.slice(1)} ${fields[i + 1]}`);
  return lines;
}

export const asRaw = ({ paths }: Changes): readonly string[] =>
  paths.map(
    ({ status, modes: [a, b], ids: [from, to], path }) => `${a} ${b} ${from} ${to} ${status} ${path}`,
  );
