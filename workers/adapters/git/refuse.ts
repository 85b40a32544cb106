/** A refusal in git's own words: whoever runs git reads the reason, and git exits with an error. */
import type { GitOperation, GitPush, GitService, Unknown } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Incoming } from "../adapter.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { isLfs } from "./lfs/endpoint.ts";
import { refuseLfs } from "./lfs/refuse.ts";
import { concat, FLUSH, packet, sideband } from "./pkt-line.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Longest reason on the wire, in letters; the record has all of it. */
const SENTENCE_MAX = 600;
/** More refs than this are not explained one by one above the report, which names them all anyway. */
const LINES_MAX = 20;
const OTHER_REF = "not changed, because another ref of this push was refused";

/**
 * - 401 with a Basic challenge, which alone makes git ask its credential helper.
 * - info/refs and git-upload-pack: 200 with an `ERR` packet, "fatal: remote error: …".
 * - git-receive-pack: 200 with a report that every ref was rejected. Never an HTTP error: git drops its body and, for a
 *   push, prints "Everything up-to-date".
 * - Git LFS: a status and JSON.
 * - No git endpoint at all: the status and a sentence.
 */
export function refuseGit(refusal: Refusal, incoming: Incoming, operation: GitOperation | Unknown): Response {
  const sentence = plainLine(refusal.message);
  if (isLfs(incoming.path)) return refuseLfs(refusal, sentence);
  if (refusal.code === "unauthenticated") return plain(401, sentence, { "www-authenticate": CHALLENGE });
  const endpoint = asked(incoming);
  if (!endpoint) return plain(refusal.status, sentence);
  const { service, step } = endpoint;
  if (step === "refs") return advertisement(service, sentence);
  if (service === "git-upload-pack") return result(service, packet(`ERR ${sentence}`));
  if (operation.kind !== "git.push") return result(service, undecoded(sentence));
  return report(operation, refusal, sentence);
}

/** 200 and nothing: what a server says to the empty request git sends ahead of a long one. */
export const probed = (service: GitService): Response => result(service, new Uint8Array(0));

const CHALLENGE = 'Basic realm="steno", charset="UTF-8"';

function asked({ request, path, query }: Incoming): Endpoint | undefined {
  try {
    return endpointOf(request.method, path, query);
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}

function report(push: GitPush, refusal: Refusal, sentence: string): Response {
  const { capabilities, updates } = push;
  const has = (name: string): boolean => capabilities.includes(name);
  const reasons = new Map(
    refusal.parts.map(({ part, reason }) => [part, plainLine(reason || refusal.message)]),
  );
  const other = reasons.size > 0 ? OTHER_REF : sentence;
  const lines = updates.map(({ ref }) => packet(`ng ${ref} ${reasons.get(ref) ?? other}\n`));
  const status = concat([packet("unpack ok\n"), ...lines, FLUSH]);
  const reports = has("report-status") || has("report-status-v2");
  if (!has("side-band-64k")) {
    // A client that wants no report reads nothing at all, so only the status is left to stop it.
    return reports ? result("git-receive-pack", status) : plain(refusal.status, sentence);
  }
  const told = new TextEncoder().encode(`${[sentence, ...partLines(reasons, sentence)].join("\n")}\n`);
  // Without a report only the fatal band makes git fail.
  const bands = reports ? [sideband(2, told), sideband(1, status)] : [sideband(3, told)];
  return result("git-receive-pack", concat([...bands, FLUSH]));
}

/** The reasons of single refs, where they say more than the sentence does. */
function partLines(reasons: ReadonlyMap<string, string>, sentence: string): readonly string[] {
  const lines = [...reasons]
    .filter(([, reason]) => reason !== sentence)
    .map(([ref, reason]) => `${ref}: ${reason}`);
  return lines.length > LINES_MAX
    ? [...lines.slice(0, LINES_MAX), `and ${lines.length - LINES_MAX} more`]
    : lines;
}

/**
 * A push that could not be read says nothing of its client's capabilities. Every git since 1.6.6 takes side-band-64k where
 * the server has it, and reads a report from band 1, in which an `ERR` packet is fatal; band 2 tells the rest.
 */
function undecoded(sentence: string): Bytes {
  return concat([sideband(1, packet(`ERR ${sentence}`)), FLUSH]);
}

function advertisement(service: GitService, sentence: string): Response {
  const body = concat([packet(`# service=${service}\n`), FLUSH, packet(`ERR ${sentence}`)]);
  return answer(200, body, { "content-type": `application/x-${service}-advertisement` });
}

function result(service: GitService, body: Bytes): Response {
  return answer(200, body, { "content-type": `application/x-${service}-result` });
}

function plain(status: number, sentence: string, headers: Record<string, string> = {}): Response {
  const body = new Uint8Array(new TextEncoder().encode(`${sentence}\n`));
  return answer(status, body, { "content-type": "text/plain; charset=utf-8", ...headers });
}

function answer(status: number, body: Bytes, headers: Record<string, string>): Response {
  return new Response(body, { status, headers: { "cache-control": "no-cache", ...headers } });
}

/** One line of plain text: control characters could forge lines, or speak to a terminal. */
export function plainLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return line.length > SENTENCE_MAX
    ? `${line.slice(0, SENTENCE_MAX).replace(/[\ud800-\udbff]$/, "")}…`
    : line || "refused";
}
