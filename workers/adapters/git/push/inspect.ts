/** What a push would do: its commands at once, and its pack as far as its connection is inspected. */
import type { Commit, Header } from "#durable/format/frame.ts";
import type { GitFetch, GitOperation, GitPush, Unknown } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { hide } from "#workers/mask/hide.ts";
import { peek } from "#workers/wire/body.ts";
import { gunzip, isGzip } from "#workers/wire/gzip.ts";
import type { Flawed, Incoming, Outgoing, Spooled } from "../../adapter.ts";
import { compareAll } from "../change/changes.ts";
import { factsOf } from "../change/facts.ts";
import { KnownObjects } from "../change/known-objects.ts";
import { lookFetch, lookRequest, readAnswer, WANTS_MAX } from "../change/look.ts";
import { oldFiles, textDiffs } from "../change/text.ts";
import type { Endpoint } from "../endpoint.ts";
import { abridged, pushFrames, type Told } from "../frames.ts";
import { ancestryFetch, ancestryQuery, ancestryRequest, settleUpdate } from "../history/ancestry.ts";
import { refUpdates } from "../history/ref-update.ts";
import type { ObjectFormat } from "../pack/bytes.ts";
import { readPack } from "../pack/pack.ts";
import type { PackSource } from "../pack/whole-pack.ts";
import { isFlush } from "../pkt-line.ts";
import { decodePush, type Push } from "../receive-pack.ts";
import { analysed } from "./analysed.ts";
import { type PushContent, readContent } from "./content.ts";
import { type Around, type GitInspected, inspectedOf } from "./inspected.ts";
import { NewFindings, newFindings, unknownVersions } from "./new-findings.ts";

/** How much of a push is held at once; its commands are in there, or it is refused. What is longer is spooled. */
export const PUSH_PREFIX = 4 * 1024 * 1024;

/** What messages and diffs do not show, besides what the configuration hides everywhere. */
const HIDDEN = ["secrets"];

/** Rounds of asking for trees: the commits with theirs, and what was moved here from elsewhere. */
const LOOKS_MAX = 3;

type Bytes = Uint8Array<ArrayBuffer>;
/** A push with what it brought, for as long as its effect is not settled. */
type Known = {
  readonly push: GitPush;
  readonly content: PushContent;
  readonly format: ObjectFormat;
  readonly around: Around;
};

/** A push that cannot be read comes back with the flaw: what was sent is kept as evidence. */
export async function inspectPush(
  incoming: Incoming,
  { repository }: Endpoint,
  outgoing: Outgoing,
): Promise<GitInspected | Flawed<GitOperation>> {
  const { request, connection, detectors, analysis, stallSeconds } = incoming;
  const gzip = isGzip(request.headers);
  const body = await peek(request, PUSH_PREFIX, stallSeconds, () => false);
  if (body.kind === "none") throw new Refusal("malformed", "The request has no body.");
  const around = { connection, detectors, analysis, outgoing, body };
  let operation: GitOperation | Unknown = { kind: "unknown" };
  try {
    const ended = body.kind === "whole";
    const held = ended ? body.bytes : body.prefix;
    const bytes = gzip ? gunzip(held, ended, 4 * PUSH_PREFIX) : held;
    if (ended && isFlush(bytes))
      return inspectedOf({ kind: "git.probe", repository, service: "git-receive-pack" }, [], around);
    const decoded = decodePush(bytes, ended);
    operation = pushOf(repository, decoded, []);
    return await inspectPack({ repository, decoded, around }, bytes, ended, gzip);
  } catch (flaw) {
    const short = operation.kind === "unknown" ? undefined : abridged(operation);
    return { operation, ...(short && { abridged: short }), outgoing, body, flaw };
  }
}

type Asked = { readonly repository: string; readonly decoded: Push; readonly around: Around };

async function inspectPack(asked: Asked, bytes: Bytes, ended: boolean, gzip: boolean): Promise<GitInspected> {
  const { repository, decoded, around } = asked;
  const { packAt, format, commands } = decoded;
  const { inspect = "full" } = around.connection;
  if (packAt === undefined)
    return inspectedOf(
      pushOf(repository, decoded, []),
      pushFrames(refUpdates(commands, []), undefined),
      around,
    );
  const pack = bytes.subarray(packAt);
  if (inspect === "full" && ended) return readWhole(asked, inMemory(pack));
  if (inspect === "full" && gzip) throw compressed();
  const content: PushContent = readPack(pack, ended, format);
  const known = { push: pushOf(repository, decoded, content.commits), content, format, around };
  if (inspect === "refs") return unsettled(known, new Set());
  const unread = (spooled: Spooled) => readWhole(asked, fromSpool(spooled, packAt));
  return { ...inspectedOf(known.push, [], around), unread };
}

async function readWhole({ repository, decoded, around }: Asked, source: PackSource): Promise<GitInspected> {
  const { format } = decoded;
  const { analysis } = around;
  const read = await readContent(source, format, everyRule(around), analysis?.max ?? 0);
  const content =
    analysis && read.scanned ? { ...read, scanned: await analysed(read.scanned, analysis) } : read;
  return unsettled(
    { push: pushOf(repository, decoded, content.commits), content, format, around },
    new Set(),
  );
}

function pushOf(
  repository: string,
  { commands, capabilities, options }: Push,
  commits: PushContent["commits"],
): GitPush {
  const updates = refUpdates(commands, commits);
  return {
    kind: "git.push",
    repository,
    updates,
    capabilities,
    options,
    atomic: capabilities.includes("atomic"),
  };
}

/** As for bodies that the pipeline looks into: policies hear of every detector. */
const everyRule = ({ detectors }: Around) => detectors.choose(["*"]);

const inMemory = (pack: Bytes): PackSource => {
  let given = false;
  return {
    next: async () => {
      if (given) return undefined;
      given = true;
      return pack;
    },
    again: async (offset, length) => pack.subarray(offset, offset + length),
  };
};

function fromSpool(spooled: Spooled, packAt: number): PackSource {
  let skip = packAt;
  return {
    next: async () => {
      for (;;) {
        const piece = await spooled.next();
        if (!piece) return undefined;
        const rest = piece.subarray(skip);
        skip -= piece.byteLength - rest.byteLength;
        if (rest.byteLength > 0) return rest;
      }
    },
    again: (offset, length) => spooled.again(packAt + offset, length),
  };
}

/** The push with what to ask the server next: first whether updates keep history, then what they change. */
async function unsettled(known: Known, looked: ReadonlySet<string>): Promise<GitInspected> {
  const { push, content, format, around } = known;
  const { updates } = push;
  const query = ancestryQuery(updates, content.commits, looked);
  if (!query)
    return content.pack ? compared(known, new KnownObjects(whereOf(known), content.pack), 0) : told(known);
  const fetch = ancestryFetch(push.repository, query, format);
  const look = lookOf(fetch, ancestryRequest(query, format), around);
  const settle = async (answer: Bytes | undefined): Promise<GitInspected> => {
    const settledUpdate = settleUpdate(query, content.commits, answer, format);
    const next = updates.map((update) => (update === query.update ? settledUpdate : update));
    return unsettled({ ...known, push: { ...push, updates: next } }, new Set([...looked, query.update.ref]));
  };
  return { ...told(known), unsettled: { look, settle } };
}

const whereOf = ({ push, around }: Known): string => `${around.connection.name}/${push.repository}`;

/** Compares with what is known, and asks the server for what is not: once for commits with their trees, then for trees. */
async function compared(known: Known, objects: KnownObjects, looks: number): Promise<GitInspected> {
  const { push, content, format, around } = known;
  const { changes, missing, truncated } = await compareAll(push.updates, content.commits, objects, format);
  const incomplete = truncated ? "more changes than this gateway compares" : undefined;
  if (missing.length === 0)
    return withDiffs(known, objects, { changes, ...(incomplete && { uncompared: incomplete }) });
  if (missing.length > WANTS_MAX || looks >= LOOKS_MAX)
    return told(known, { changes, uncompared: `${missing.length} objects of the server would be needed` });
  const asked = { wants: missing, filter: "blob:none" } as const;
  const look = lookOf(lookFetch(push.repository, asked, format), lookRequest(asked, format), around);
  const settle = async (answer: Bytes | undefined): Promise<GitInspected> => {
    let fits = true;
    const why = await readAnswer(answer, format, ({ kind, id, content: bytes }) => {
      if (bytes && kind !== "blob") fits = objects.add(id, kind, bytes) && fits;
    });
    const reason = why ?? (fits ? undefined : "the server's trees are more than this gateway holds");
    return reason === undefined
      ? compared(known, objects, looks + 1)
      : told(known, { changes, uncompared: reason });
  };
  return { ...told(known), unsettled: { look, settle } };
}

/**
 * With diffs of text files, and without findings that are not new. Old versions that nobody has are asked for; without an answer
 * only new files have a diff, and all findings count.
 */
async function withDiffs(known: Known, objects: KnownObjects, what: Told): Promise<GitInspected> {
  const { push, content, format, around } = known;
  const { scanned } = content;
  const { changes } = what;
  const rules = everyRule(around);
  const shown = around.detectors.choose(HIDDEN);
  const done = async () =>
    told(known, {
      ...what,
      diffs: await textDiffs(changes, objects, shown),
      ...(scanned && rules && { findings: await newFindings(scanned, changes, objects, rules) }),
    });
  const unknown = scanned ? await unknownVersions(scanned, changes, objects) : [];
  const wants = [...new Set([...(await oldFiles(changes, objects)), ...unknown])];
  if (wants.length === 0) return done();
  const asked = { wants, filter: undefined } as const;
  const look = lookOf(lookFetch(push.repository, asked, format), lookRequest(asked, format), around);
  const settle = async (answer: Bytes | undefined): Promise<GitInspected> => {
    await readAnswer(answer, format, ({ kind, id, content }) => {
      if (content && kind === "blob") objects.add(id, kind, content);
    });
    return done();
  };
  return { ...told(known, what), unsettled: { look, settle } };
}

/** The push as it is told to policy and to the record. */
function told(known: Known, what: Told = { changes: [], uncompared: "it was not compared" }): GitInspected {
  const { push, content, around } = known;
  const { summary, commits } = settled(content, push.updates);
  const { changes, uncompared } = what;
  const findings = what.findings ?? (content.scanned ? new NewFindings(content.scanned, changes) : undefined);
  const shown = commits.map((commit) => withoutSecrets(commit, around));
  const said = content.pack ? { ...what, ...(findings && { findings }) } : undefined;
  const frames = pushFrames(push.updates, { summary, commits: shown }, said);
  const whole =
    content.pack !== undefined &&
    uncompared === undefined &&
    findings !== undefined &&
    findings.unscanned === 0;
  const facts = factsOf({ summary, commits, changes, whole, findings });
  return inspectedOf(push, frames, around, facts, findings && namedBy(findings));
}

/** A function of its own: what it refers to is kept for as long as the push waits for approval. */
const namedBy =
  (findings: NewFindings) =>
  (ref: string): string | undefined =>
    findings.named(ref);

/** The message as the record shows it; the body has it as it was sent. */
function withoutSecrets(commit: Commit, { detectors }: Around): Commit {
  const rules = detectors.choose(HIDDEN);
  return rules ? { ...commit, message: hide(commit.message, rules) } : commit;
}

/** A fetch of the gateway's own, from the repository that is pushed to. */
function lookOf(fetch: GitFetch, bytes: Bytes, { connection, outgoing }: Around): GitInspected {
  const path = outgoing.path.replace(/git-receive-pack$/, "git-upload-pack");
  const headers: Header[] = [
    ["content-type", "application/x-git-upload-pack-request"],
    ["accept", "application/x-git-upload-pack-result"],
    ["git-protocol", "version=2"],
  ];
  const body = { kind: "whole", bytes } as const;
  return inspectedOf(fetch, [], { connection, outgoing: { method: "POST", path, headers }, body });
}

/**
 * Deltas of objects the server has are common in trees and blobs, and could hide a commit. They cannot when every commit
 * the pushed history needs is in the pack, or is what the ref pointed to before: then none is listed as unread.
 */
function settled(content: PushContent, updates: GitPush["updates"]): PushContent {
  const { summary, commits } = content;
  const known = new Set([...commits.map(({ id }) => id), ...updates.map(({ old }) => old)]);
  const needed = [
    ...updates.filter(({ change }) => change !== "delete").map((update) => update.new),
    ...commits.flatMap(({ parents }) => parents),
  ];
  return needed.every((id) => known.has(id)) ? { ...content, summary: { ...summary, unread: [] } } : content;
}

const compressed = () =>
  new Refusal(
    "too_large",
    `A push over ${PUSH_PREFIX} bytes is not read under Content-Encoding: send it uncompressed, as git does.`,
  );
