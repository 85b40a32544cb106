/** A recorded push as a git bundle v2: git itself verifies, lists and fetches what was pushed. */
import type { Commit } from "#durable/format/frame.ts";
import { type Bytes, concat, readUtf8, utf8 } from "#durable/proof/bytes.ts";
import { inflateGzip } from "#durable/proof/native.ts";
import { bodyBytes, type Exchange, type ReplayItem } from "#durable/proof/replay/replay.ts";

export type PushBundle = { readonly name: string; readonly bytes: Bytes };
export type Bundled = {
  readonly bundles: readonly PushBundle[];
  /** Pushes that no bundle can be made of, and why. */
  readonly left: readonly { readonly x: string; readonly why: string }[];
};

const INFLATED_MAX = 1024 * 1024 * 1024;
const ZEROS = /^0+$/;

/** One bundle for each push that was let through and brought objects. */
export function bundlesOf(items: readonly ReplayItem[]): Bundled {
  const bundles: PushBundle[] = [];
  const left: { x: string; why: string }[] = [];
  for (const item of items) {
    if (item.kind !== "exchange" || item.exchange.request?.operation.kind !== "git.push") continue;
    const made = bundleOf(item.exchange);
    if (typeof made === "string") left.push({ x: item.exchange.x, why: made });
    else bundles.push({ name: `${item.exchange.x}.bundle`, bytes: made });
  }
  return { bundles, left };
}

function bundleOf({ decision, request, c2s, git }: Exchange): Bytes | string {
  if (decision?.verdict !== "allow") return "it was not let through";
  if (c2s.end !== "complete") return `its body ended ${c2s.end ?? "nowhere"}`;
  const stored = bodyBytes(c2s);
  if (!stored) return "its body was not kept, or is not as it was sealed";
  const gzip = request?.headers.some(
    ([name, value]) => name.toLowerCase() === "content-encoding" && value === "gzip",
  );
  const push = splitPush(gzip ? inflateGzip(stored, INFLATED_MAX) : concat([stored]));
  if (!push) return "its body is no push";
  if (push.pack.byteLength === 0) return "it brought no objects";
  const kept = push.commands.filter(({ to }) => !ZEROS.test(to));
  const commits = git.flatMap((frame) => frame.commits ?? []);
  const partial = git.some(({ pack }) => pack && (pack.scanned !== "all" || pack.unread.length > 0));
  if (partial) return "its commits were not all read: what they build on is not known";
  const wide = kept.some(({ to }) => to.length === 64);
  const head = [
    // gitformat-bundle: v3 names the hash when it is not SHA-1.
    wide ? "# v3 git bundle\n@object-format=sha256\n" : "# v2 git bundle\n",
    ...prerequisites(commits, kept).map((id) => `-${id} \n`),
    ...kept.map(({ to, ref }) => `${to} ${ref}\n`),
    "\n",
  ];
  return concat([utf8(head.join("")), push.pack]);
}

/** What the pushed commits build on and do not bring: whoever fetches must have it. */
function prerequisites(commits: readonly Commit[], kept: readonly PushedRef[]): string[] {
  const brought = new Set(commits.map(({ id }) => id));
  const needed = new Set(commits.flatMap(({ parents }) => parents.filter((id) => !brought.has(id))));
  // A ref to something that was there before brings nothing of its own.
  for (const { to } of kept) if (!brought.has(to)) needed.add(to);
  return [...needed];
}

type PushedRef = { readonly to: string; readonly ref: string };

/** gitprotocol-pack: command pkt-lines and a flush, perhaps options and a flush, then the pack or nothing. */
function splitPush(
  body: Bytes,
): { readonly commands: readonly PushedRef[]; readonly pack: Bytes } | undefined {
  const commands: PushedRef[] = [];
  let at = 0;
  while (at < body.byteLength && readUtf8(body.subarray(at, at + 4)) !== "PACK") {
    const size = readUtf8(body.subarray(at, at + 4)) ?? "";
    const length = /^[0-9a-fA-F]{4}$/.test(size) ? Number.parseInt(size, 16) : -1;
    if (length < 0 || (length > 0 && length < 4) || at + length > body.byteLength) return undefined;
    const line = readUtf8(body.subarray(at + 4, at + length)) ?? "";
    const [, to = "", ref = ""] = /^[0-9a-f]{40,64} ([0-9a-f]{40,64}) ([^\0\n]+)/.exec(line) ?? [];
    if (ref !== "") commands.push({ to, ref });
    at += length || 4;
  }
  return { commands, pack: body.subarray(at) as Bytes };
}
