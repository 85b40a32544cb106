/** One frames segment, verified by itself: what of it needs what came before is put into steps, for whoever has that. */
import type { Frame } from "#durable/format/frame.ts";
import type { SegmentEntry } from "#durable/format/head.ts";
import type { Operation } from "#durable/format/operation.ts";
import { utf8, utf8Length } from "../../bytes.ts";
import { Findings, type Found } from "../../finding.ts";
import { mergeRanges, Range } from "../../merkle.ts";
import { checkRange, openFrames, readFrames } from "../../read/frames.ts";
import type { ReadLine } from "../../read/line.ts";
import type { Source } from "../../read/source.ts";
import type { OpenWith } from "../../read/unsealed.ts";

/** Plain values: tasks, and what comes of them, cross threads. */
export type SegmentTask = {
  /** Empty, or ends in a slash. */
  readonly folder: string;
  readonly entry: SegmentEntry;
  /** Sizes of trees whose roots are asked for. */
  readonly cuts: readonly number[];
  /** The identities of an encrypted session. */
  readonly own?: readonly string[];
};

/** What a line says, without the text of bodies and whatever else nothing later depends on. */
export type Step = {
  readonly seq: number;
  /** Milliseconds since 1970; undefined, like `frame`, when the line cannot be used. */
  readonly at: number | undefined;
  readonly frame: Frame | undefined;
  /** 16 bytes in base64, of a frame whose body lies in a bytes segment. */
  readonly salt?: string;
  /** Inline text of a request that is a push, or of which the beginning is not in this segment. */
  readonly bytes?: Uint8Array;
};

/** Steps between two cuts, and the compact range over their leaves. */
export type Stretch = {
  readonly start: number;
  readonly hashes: readonly string[];
  readonly steps: readonly Step[];
};

export type Examined = {
  readonly found: Found;
  /** Undefined when the segment is missing or not as it was sealed. */
  readonly stretches: readonly Stretch[] | undefined;
};

export async function examineSegment(source: Source, task: SegmentTask, open?: OpenWith): Promise<Examined> {
  const findings = new Findings();
  const { report } = findings;
  const { folder, entry, cuts, own } = task;
  const unsealed = own && open?.(own);
  const lines = await openFrames({ source, folder, report, unsealed }, entry);
  if (!lines) return { found: findings.found(), stretches: undefined };
  const object = `${folder}${entry.name}`;
  const ends = new Set(cuts);
  const slim = new Slimming();
  const ranges: Range[] = [new Range(entry.firstFrame ?? 0)];
  const steps: Step[][] = [[]];
  for (const { seq, leaf, read } of readFrames(object, entry, lines, report)) {
    if (ends.has(seq) && ranges.at(-1)?.size !== 0) {
      ranges.push(new Range(seq));
      steps.push([]);
    }
    ranges.at(-1)?.push(leaf);
    steps.at(-1)?.push({ seq, at: read?.at, ...slim.see(read) });
  }
  checkRange(object, entry, mergeRanges(ranges), report);
  const stretches = ranges.map((range, i) => ({
    start: range.start,
    hashes: range.serialise(),
    steps: steps[i] ?? [],
  }));
  return { found: findings.found(), stretches };
}

const PUSH: Operation["kind"] = "git.push";

/** Takes from frames what nobody asks after later. Only the bodies of pushes are read again as a whole. */
class Slimming {
  readonly #others = new Set<string>();

  see(read: ReadLine | undefined): Omit<Step, "seq" | "at"> {
    const frame = read?.frame;
    if (!frame) return { frame: undefined };
    switch (frame.k) {
      case "request":
        if (frame.operation.kind !== PUSH) this.#others.add(frame.x);
        return { frame: slimRequest(frame) };
      case "response":
        return { frame: slimResponse(frame) };
      case "data":
        return this.#data(frame, read.salt);
      case "git":
        return { frame: slimGit(frame) };
      case "decision":
        return { frame: slimDecision(frame) };
      case "mcp":
        return { frame: slimMcp(frame) };
      case "llm":
        return { frame: slimLlm(frame) };
      case "session.start":
      case "catalogue":
      case "definition":
      case "mask":
      case "hold":
      case "approval":
      case "hook":
      case "join":
      case "gap":
      case "session.end":
      case "session.truncated":
        return { frame };
    }
  }

  #data(frame: Frame & { readonly k: "data" }, salt: string): Omit<Step, "seq" | "at"> {
    if ("bytes" in frame) return { frame, salt };
    if (!("d" in frame)) return { frame };
    const { k, x, dir, off, d, end } = frame;
    const slim = { k, x, dir, off, len: utf8Length(d), sha256: "", ...(end !== undefined && { end }) };
    const wanted = dir === "c2s" && !this.#others.has(x);
    return wanted ? { frame: slim, bytes: utf8(d) } : { frame: slim };
  }
}

/** What Cedar said is longer than what is asked of it later: the verdict, and which policy set gave it. */
const slimDecision = (frame: Frame & { readonly k: "decision" }): Frame => ({
  ...frame,
  policies: [],
  reason: "",
  denied: [],
});

function slimRequest(frame: Frame & { readonly k: "request" }): Frame {
  const { k, x, operation } = frame;
  const headers = frame.headers.filter(([name]) => name.toLowerCase() === "content-encoding");
  const kept = operation.kind === PUSH || operation.kind === "git.refs";
  const asked = kept ? operation : ({ kind: "unknown" } as const);
  return { k, x, connection: "", operation: asked, method: "", path: "", headers };
}

const slimMcp = ({ k, x, dir, read, input }: Frame & { readonly k: "mcp" }): Frame => ({
  k,
  x,
  dir,
  read,
  messages: [],
  ...(input !== undefined && { input }),
});

const slimResponse = ({ k, x, status, refusal }: Frame & { readonly k: "response" }): Frame => ({
  k,
  x,
  status,
  headers: [],
  ...(refusal && { refusal: { code: refusal.code, message: "" } }),
});

/** The ids and updates that are held against the pack. */
function slimGit({ k, x, updates, commits }: Frame & { readonly k: "git" }): Frame {
  const ids = commits?.map(({ id }) => ({ ...NO_COMMIT, id }));
  return { k, x, ...(updates && { updates }), ...(ids && { commits: ids }) };
}

const NO_COMMIT = {
  tree: "",
  parents: [],
  author: "",
  committer: "",
  message: "",
  signed: false,
} as const;

const slimLlm = ({ k, x }: Frame & { readonly k: "llm" }): Frame => ({ k, x, dir: "c2s", messages: [] });
