/** One recorded line (EVIDENCE §1). Bytes are what is hashed; the prefix is exact, the rest is free JSON. */
import type { ApprovalEvent } from "./approval/approval.ts";
import type { CatalogueFrame, DefinitionFrame } from "./catalogue/catalogue.ts";
import type { Approvers, RecordedDecision } from "./decision.ts";
import type { NotBefore } from "./head.ts";
import type { ApprovalId, ConnectionName, ExchangeId, SessionId } from "./ids.ts";
import type { Claim, Claimable } from "./join/claim.ts";
import type { Finding, Mask } from "./mask/finding.ts";
import type { LlmCall, LlmMessage, LlmUsage, McpMessage, Operation, RefUpdate } from "./operation.ts";
import type { Principal } from "./principal.ts";

/** Longest line, without its LF. */
export const LINE_MAX = 65_535;
/** Longest run of body text kept inline in a frame, in bytes. */
export const INLINE_MAX = 32 * 1024;

export type Direction = "c2s" | "s2c";
export type Header = readonly [name: string, value: string];
/** How a body came to its end: all of it passed, or it was cut off, or it was never let through. */
export type BodyEnd = "complete" | "cut" | "refused";

export type SessionStart = {
  readonly k: "session.start";
  readonly session: SessionId;
  readonly principal: Principal;
  readonly client: string;
  readonly conversation?: string;
  /** The newest checkpoint of the log. */
  readonly notBefore?: NotBefore;
};
export type RequestFrame = {
  readonly k: "request";
  readonly x: ExchangeId;
  readonly connection: ConnectionName | "";
  readonly operation: Operation;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly Header[];
};
export type DecisionFrame = { readonly k: "decision"; readonly x: ExchangeId } & RecordedDecision;
export type ResponseFrame = {
  readonly k: "response";
  readonly x: ExchangeId;
  readonly status: number;
  readonly headers: readonly Header[];
  /** Set when the answer is our own no, not the upstream's. */
  readonly refusal?: { readonly code: string; readonly message: string; readonly cause?: string };
};
type DataHead = { readonly k: "data"; readonly x: ExchangeId; readonly dir: Direction; readonly off: number };
/**
 * Body bytes: inline text `d`, or `bytes` in a segment, or (bodies = "digest") only their length and digest.
 * Every body ends with a mark, alone or on its last bytes; a frame of `end` alone says so at offset `off`.
 */
export type DataFrame = DataHead & { readonly end?: BodyEnd } & (
    | { readonly d: string }
    | { readonly bytes: readonly [segment: number, offset: number, length: number]; readonly sha256: string }
    | { readonly len: number; readonly sha256: string }
    | { readonly end: BodyEnd }
  );
/** The decoded content of a push: what its commands and its pack say. */
export type GitFrame = {
  readonly k: "git";
  readonly x: ExchangeId;
  readonly updates?: readonly RefUpdate[];
  readonly pack?: PackSummary;
  readonly commits?: readonly Commit[];
  readonly changes?: Changes;
  readonly diffs?: readonly TextDiff[];
  /** Why what changes could not be told, or not all of it: the server lacks filters, say, or too much changes. */
  readonly uncompared?: string;
  readonly findings?: PushFindings;
};
/** What the detectors found in what a push brings. A long list goes on in the next frame. */
export type PushFindings = {
  readonly found: readonly PushFinding[];
  /** How many more there are; policies know of their detectors. */
  readonly omitted?: number;
  /** Bytes that were not looked into, because the push brings too many. */
  readonly unscanned?: number;
};
/** `len` bytes at `off` of the object `object`. Until the recorder has keyed it, `digest` is SHA-256 alone. */
export type PushFinding = Omit<Finding, "path" | "sha256"> & {
  readonly digest: string;
  readonly object: string;
  /** As in `changes`; absent for the message of a commit or a tag, and for a file that no known path leads to. */
  readonly path?: string;
};
/**
 * Changed paths: of a ref against what it pointed to (of a new one, against the newest commit of its line that the server
 * has); or of one commit, those that do not show in what its ref comes to. A long list goes on in the next frame.
 */
export type Changes = {
  readonly ref?: string;
  readonly commit?: string;
  /** The commit compared with; null for nothing. */
  readonly base: string | null;
  readonly paths: readonly ChangedPath[];
  /** How many paths are left out here; the recorded body has them. */
  readonly omitted?: number;
};
/** What changes in a text file of a ref's update. Only for some files of a push: small ones, and not too many. */
export type TextDiff = {
  readonly ref: string;
  readonly path: string;
  readonly ids: readonly [old: string, next: string];
  /** Hunks as `git diff` writes them, three lines around each. */
  readonly patch: string;
  /** Letters that are left out at its end. */
  readonly omitted?: number;
};
/** As `git diff --raw --no-renames` has it: added, modified, deleted, or made another type. */
export type ChangedPath = {
  readonly status: "A" | "M" | "D" | "T";
  /** Bytes that are not UTF-8 are written `\\xff`, and `odd` says so. */
  readonly path: string;
  readonly modes: readonly [old: string, next: string];
  readonly ids: readonly [old: string, next: string];
  /** Bytes of the new file, when the pack brings it. */
  readonly size?: number;
  /** Names that may be read, or checked out, as another: bytes that are no text, control or invisible letters, same but for case. */
  readonly odd?: readonly ("bytes" | "control" | "case" | "invisible")[];
};
export type PackSummary = {
  readonly version: number;
  readonly objects: number;
  /** `all`: every object was read; `leading`: commits and tags up to the first tree or blob. */
  readonly scanned: "all" | "leading";
  readonly commits: number;
  /** Commits stored as a delta of something outside what was read, by their offset in the pack. */
  readonly unread: readonly number[];
  /** Of a pack that was read in full: how many blobs it has, the size of the largest, and of all objects together. */
  readonly blobs?: number;
  readonly largest?: number;
  readonly bytes?: number;
};
export type Commit = {
  readonly id: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: string;
  readonly committer: string;
  readonly message: string;
  readonly signed: boolean;
};
/** What a model was asked (`c2s`), or answered (`s2c`), as decoded from its API: shapes and sizes, never text. */
export type LlmFrame = { readonly k: "llm"; readonly x: ExchangeId } & (
  | {
      readonly dir: "c2s";
      readonly messages: readonly LlmMessage[];
      /** How many of the first messages were left out to fit into the line. */
      readonly omitted?: number;
    }
  | {
      readonly dir: "s2c";
      /** `part` when the answer broke off, or could not be read to its end. */
      readonly read: "all" | "part";
      readonly model?: string;
      /** Why it stopped, in the provider's words. */
      readonly stop?: string;
      readonly error?: string;
      readonly usage?: LlmUsage;
      /** Tools the model wants called. */
      readonly calls: readonly LlmCall[];
      readonly omitted?: number;
    }
);
/** Messages of MCP in a body (`c2s` one, `s2c` as many as came), by shape and size, never what they say. */
export type McpFrame = {
  readonly k: "mcp";
  readonly x: ExchangeId;
  readonly dir: Direction;
  readonly read: "all" | "part";
  readonly messages: readonly McpMessage[];
  /** Of a tool's call: as in `Claim`. */
  readonly input?: string;
  /** How many more there were. */
  readonly omitted?: number;
};
/**
 * What was hidden of a body on its way: `len` bytes of its text, whose keyed digest is `digest`. What stands for them begins
 * at `off` of the body as it passed. Until the recorder has keyed it, `digest` is SHA-256 alone.
 */
export type MaskFrame = { readonly k: "mask"; readonly x: ExchangeId; readonly dir: Direction } & Omit<
  Mask,
  "sha256"
> & { readonly digest: string };
/** What an agent's hook told: which event of which call, how much, never a word of it. */
export type HookFrame = {
  readonly k: "hook";
  readonly x: ExchangeId;
  readonly event: string;
  /** The agent's own ids: of its turn, and of the tool call. */
  readonly generation?: string;
  readonly call?: string;
  readonly tool?: string;
  readonly model?: string;
  readonly version?: string;
  /** How it ended, of events that say so. */
  readonly status?: string;
  /** Bytes of each text it brought, by name; of edits also how many. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly claims?: Claim;
};
/**
 * What a hook claimed, held against what passed: exchange `x` is what the hook `claim` had told (`match`), or no hook had
 * told it (`unclaimed`); or `x` is a hook whose claim was allowed, and nothing was seen of it (`unseen`).
 */
export type JoinFrame = {
  readonly k: "join";
  readonly x: ExchangeId;
  readonly of: Claimable;
  readonly found: "match" | "unclaimed" | "unseen";
  readonly claim?: ExchangeId;
};
/** Frames that say what the bodies of an exchange contain, or did. */
export type Content = GitFrame | LlmFrame | McpFrame | Offered | MaskFrame | HookFrame;
/** What an MCP server offers, and how that changed. */
type Offered = CatalogueFrame | DefinitionFrame;
/** The same before its exchange is known. */
export type Contained =
  | GitContained
  | OmitX<LlmFrame>
  | Omit<McpFrame, "x">
  | OmitX<Offered>
  | OmitX<HookFrame>;
export type GitContained = Omit<GitFrame, "x">;
type OmitX<T> = T extends unknown ? Omit<T, "x"> : never;
/** An exchange waits until these have approved what `digest` binds: see `bindingOf`. */
export type HoldFrame = {
  readonly k: "hold";
  readonly x: ExchangeId;
  readonly approval: ApprovalId;
  /** SHA-256, hex, over principal, connection, operation and content. */
  readonly digest: string;
  readonly hold: readonly Approvers[];
  readonly expires: string;
  /** In the requester's words. */
  readonly justification?: string;
};
/** What became of a hold: in its order, all of it, in every session whose exchange waits for it. */
export type ApprovalFrame = {
  readonly k: "approval";
  readonly x: ExchangeId;
  readonly approval: ApprovalId;
} & ApprovalEvent;
export type GapFrame = {
  readonly k: "gap";
  readonly cause: string;
  readonly exchanges: readonly ExchangeId[];
  readonly missing: string;
};
export type SessionEnd = { readonly k: "session.end"; readonly reason: EndReason; readonly by?: string };
export type SessionTruncated = {
  readonly k: "session.truncated";
  readonly cause: string;
  /** Index of the last frame that was durable before the cut. */
  readonly lastDurable: number;
  readonly exchanges: readonly ExchangeId[];
};
export type EndReason = "request" | "idle" | "max" | "killed";

export type Frame =
  | SessionStart
  | RequestFrame
  | DecisionFrame
  | ResponseFrame
  | DataFrame
  | GitFrame
  | LlmFrame
  | McpFrame
  | Offered
  | MaskFrame
  | HoldFrame
  | ApprovalFrame
  | HookFrame
  | JoinFrame
  | GapFrame
  | SessionEnd
  | SessionTruncated;

/** The 16 salt bytes of a frame as they stand in its line. */
export function saltText(salt: Uint8Array): string {
  return btoa(String.fromCharCode(...salt));
}

/** The line of a frame, without its LF. `at` is milliseconds since 1970. JSON.stringify never emits a raw LF. */
export function frameLine(seq: number, at: number, salt: string, frame: Frame): string {
  const rest = JSON.stringify(frame);
  return `{"v":1,"seq":${seq},"t":"${new Date(at).toISOString()}","salt":"${salt}",${rest.slice(1)}`;
}

/** What stands before a frame's own members at most: the prefix with a `seq` of 16 digits. */
const PREFIX_MAX = 112;

/** Whether the frame's line is short enough wherever it stands. A letter takes at most three bytes of UTF-8 for one of UTF-16. */
export function fitsLine(frame: Frame): boolean {
  const rest = JSON.stringify(frame);
  const room = LINE_MAX - PREFIX_MAX;
  return rest.length * 3 <= room || new TextEncoder().encode(rest).byteLength <= room;
}

const PREFIX =
  /^\{"v":1,"seq":(0|[1-9]\d*),"t":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","salt":"([A-Za-z0-9+/]{22}==)"[,}]/;

/** What the exact prefix of a line says, or undefined when it is not the prefix of EVIDENCE §1. */
export function readPrefix(line: string): { seq: number; t: string; salt: string } | undefined {
  const match = PREFIX.exec(line);
  if (!match) return undefined;
  const [, seq = "", t = "", salt = ""] = match;
  return { seq: Number(seq), t, salt };
}
