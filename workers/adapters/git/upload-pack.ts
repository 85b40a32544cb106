/** What a client asks of git-upload-pack: gitprotocol-v2(5), and fetch requests of v0/v1 (gitprotocol-pack(5)). */
import type { GitFetch, GitRefs } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { lineOf, readPacket } from "./pkt-line.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Asked = { -readonly [K in keyof GitFetch]: GitFetch[K] } & {
  wants: string[];
  wantRefs: string[];
  capabilities: string[];
};

/** One line of a request, or the mark between its parts. */
type Line = string | { readonly mark: "flush" | "delim" | "response-end" };

const ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** `key` or `key=value` of a v2 command: those that stay in the advertisement, see `advertisement.ts`. */
const V2_CAPABILITIES = new Set(["agent", "object-format", "server-option", "session-id"]);
const FETCH_FLAGS = new Set([
  "thin-pack",
  "no-progress",
  "include-tag",
  "ofs-delta",
  "deepen-relative",
  "sideband-all",
  "wait-for-done",
]);
const V0_CAPABILITIES =
  /^(?:multi_ack|multi_ack_detailed|no-done|thin-pack|side-band|side-band-64k|ofs-delta|shallow|deepen-since|deepen-not|deepen-relative|no-progress|include-tag|allow-tip-sha1-in-want|allow-reachable-sha1-in-want|filter|agent=.*|object-format=.*|session-id=.*)$/;

/** As many `have` lines as a request of the longest length holds; empty lines and flushes would make ten times as many. */
const LINES_MAX = 400_000;

/** Decodes a whole POST body, already inflated. */
export function decodeUploadPack(repository: string, version: 0 | 1 | 2, body: Bytes): GitRefs | GitFetch {
  const lines = linesOf(body);
  const asked = version === 2 ? decodeCommand(repository, lines) : decodeRounds(repository, version, lines);
  // git names a commit once for every ref it wants it for.
  return asked.kind === "git.fetch" ? { ...asked, wants: [...new Set(asked.wants)] } : asked;
}

/** v2: `command=…`, capabilities, delim, arguments, flush; nothing after it, or a second command would pass unseen. */
function decodeCommand(repository: string, lines: readonly Line[]): GitRefs | GitFetch {
  const [command, ...others] = lines;
  const end = others.length - 1;
  if (!isMark(others[end], "flush")) throw new Refusal("malformed", "The request does not end with a flush.");
  const at = others.findIndex((line) => typeof line !== "string");
  if (at !== end && !isMark(others[at], "delim"))
    throw new Refusal("malformed", "The request has a part too many.");
  const capabilities = others.slice(0, at).map(textLine);
  const args = others.slice(at + 1, Math.max(end, at + 1)).map(textLine);
  const odd = capabilities.find((capability) => !V2_CAPABILITIES.has(capability.split("=", 1)[0] ?? ""));
  if (odd !== undefined) throw new Refusal("malformed", `The capability ${quoted(odd)} is not offered here.`);
  if (command === "command=ls-refs") return lsRefs(repository, args);
  if (command === "command=fetch") return fetchV2(repository, capabilities, args);
  throw new Refusal("malformed", `The command ${quoted(command)} is not offered here.`);
}

function lsRefs(repository: string, args: readonly string[]): GitRefs {
  const prefixes: string[] = [];
  for (const arg of args) {
    if (arg.startsWith("ref-prefix ")) prefixes.push(arg.slice("ref-prefix ".length));
    else if (arg !== "peel" && arg !== "symrefs" && arg !== "unborn") throw unexpected(arg);
  }
  return { kind: "git.refs", repository, service: "git-upload-pack", version: 2, prefixes };
}

function fetchV2(repository: string, capabilities: string[], args: readonly string[]): GitFetch {
  const asked = nothingAsked(repository, 2);
  asked.capabilities = capabilities;
  for (const arg of args) {
    if (arg.startsWith("packfile-uris ")) throw packfileUris();
    if (FETCH_FLAGS.has(arg)) asked.capabilities.push(arg);
    else if (arg.startsWith("want-ref ")) asked.wantRefs.push(arg.slice("want-ref ".length));
    else if (arg === "done") asked.done = true;
    else negotiate(asked, arg);
  }
  return asked;
}

/**
 * v0/v1, stateless: wants (capabilities on the first), shallow, deepen and filter lines, flush; then have lines with
 * flushes between them, and `done` at the end or not yet.
 */
function decodeRounds(repository: string, version: 0 | 1, lines: readonly Line[]): GitFetch {
  const asked = nothingAsked(repository, version);
  const end = lines.findIndex((line) => typeof line !== "string");
  if (!isMark(lines[end], "flush"))
    throw new Refusal("malformed", "The list of wants does not end with a flush.");
  const [first = "", ...others] = lines.slice(0, end).map(textLine);
  const [word = "", id = "", ...capabilities] = first.split(" ");
  asked.capabilities = capabilities.filter(Boolean);
  for (const line of [`${word} ${id}`, ...others]) negotiate(asked, line);
  const odd = asked.capabilities.find((capability) => !V0_CAPABILITIES.test(capability));
  if (odd?.startsWith("packfile-uris")) throw packfileUris();
  if (odd !== undefined) throw new Refusal("malformed", `The capability ${quoted(odd)} is not known here.`);
  if (asked.haves > 0 || asked.wants.length === 0)
    throw new Refusal("malformed", "The request wants nothing.");
  for (const line of lines.slice(end + 1)) {
    if (asked.done) throw new Refusal("malformed", "Something follows the end of the request.");
    if (line === "done") asked.done = true;
    else if (typeof line === "string" && line.startsWith("have ")) negotiate(asked, line);
    else if (!isMark(line, "flush")) throw unexpected(line);
  }
  return asked;
}

/** The lines that v0 and v2 share. */
function negotiate(asked: Asked, line: string): void {
  const space = line.indexOf(" ");
  const [word, rest] = [line.slice(0, space), line.slice(space + 1)];
  const isId = ID.test(rest);
  if (word === "want" && isId) asked.wants.push(rest);
  else if (word === "have" && isId) asked.haves += 1;
  else if (word === "shallow" && isId) asked.shallow = true;
  else if (word === "deepen" && /^\d{1,10}$/.test(rest)) deepen(asked, rest);
  else if (word === "deepen-since" && /^\d{1,15}$/.test(rest)) deepen(asked, `since ${rest}`);
  else if (word === "deepen-not" && rest !== "") deepen(asked, `not ${rest}`);
  else if (word === "filter" && rest !== "" && asked.filter === undefined) asked.filter = rest;
  else throw unexpected(line);
}

/** Several bounds apply together; policies and readers see them joined by a comma. */
function deepen(asked: Asked, bound: string): void {
  asked.depth = asked.depth === undefined ? bound : `${asked.depth}, ${bound}`;
}

function nothingAsked(repository: string, version: 0 | 1 | 2): Asked {
  return {
    kind: "git.fetch",
    repository,
    version,
    wants: [],
    wantRefs: [],
    haves: 0,
    done: false,
    capabilities: [],
  };
}

function linesOf(body: Bytes): readonly Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < body.byteLength; ) {
    const read = readPacket(body, at);
    if (!read) throw new Refusal("malformed", "The request ends within a pkt-line.");
    const { packet, end } = read;
    lines.push(packet.kind === "data" ? lineOf(packet.payload) : { mark: packet.kind });
    if (lines.length > LINES_MAX) throw new Refusal("too_large", "The request has too many lines.");
    at = end;
  }
  return lines;
}

function isMark(line: Line | undefined, mark: "flush" | "delim"): boolean {
  return typeof line === "object" && line.mark === mark;
}

function textLine(line: Line): string {
  if (typeof line !== "string") throw unexpected(line);
  return line;
}

const packfileUris = () =>
  new Refusal(
    "malformed",
    "packfile-uris is not offered here: every byte of a repository passes this gateway.",
  );

const unexpected = (line: Line) =>
  new Refusal("malformed", `The request has an unexpected line: ${quoted(line)}.`);

function quoted(line: Line | undefined): string {
  const text = typeof line === "object" ? line.mark : (line ?? "");
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
