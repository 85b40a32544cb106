// What an archive says happened: sealed sessions read from its bytes alone, exchange by exchange.
import { join } from "node:path";
import type {
  DecisionFrame,
  Frame,
  GapFrame,
  GitFrame,
  RequestFrame,
  ResponseFrame,
} from "#durable/format/frame.ts";
import { Findings } from "#durable/proof/finding.ts";
import { readSession } from "#durable/proof/read/session.ts";
import { openHead } from "#durable/proof/seal.ts";
import { folderSource } from "#scripts/verify/folder.ts";

export interface RecordedBody {
  readonly bytes: Buffer;
  readonly end: string | undefined;
}

export interface RecordedExchange {
  readonly session: string;
  readonly request: RequestFrame;
  readonly decision: DecisionFrame | undefined;
  readonly response: ResponseFrame | undefined;
  readonly git: readonly GitFrame[];
  readonly gaps: readonly GapFrame[];
  readonly sent: RecordedBody;
  readonly answered: RecordedBody;
}

export interface Recording {
  /** Frames of each sealed session, in order. */
  readonly sessions: ReadonlyMap<string, readonly Frame[]>;
  readonly exchanges: ReadonlyMap<string, RecordedExchange>;
  /** Every line as it was sealed, and every body kept outside the lines: all that can be read of the archive. */
  readonly everything: Buffer;
}

/** Throws when anything in the archive is not as it was sealed. */
export async function readRecording(archive: string): Promise<Recording> {
  const source = folderSource(archive);
  const findings = new Findings();
  const sessions = new Map<string, readonly Frame[]>();
  const exchanges = new Map<string, RecordedExchange>();
  const everything: Uint8Array[] = [];
  for await (const key of source.list("sessions/")) {
    if (!key.endsWith("/seal.sigstore.json")) continue;
    const seal = await source.get(key);
    const head = seal && (await openHead(seal, undefined)).statement?.predicate;
    if (!head) throw new Error(`${join(archive, key)} cannot be read`);
    const drafts = new Drafts(head.session);
    const frames: Frame[] = [];
    const folder = key.slice(0, key.lastIndexOf("/") + 1);
    for await (const item of readSession({
      source,
      folder,
      segments: head.segments,
      report: findings.report,
      whole: true,
    })) {
      if (item.kind === "skipped" || !item.frame) throw new Error(`${item.object}: a frame cannot be read`);
      frames.push(item.frame);
      everything.push(item.line, item.bytes ?? new Uint8Array());
      drafts.see(item.frame, item.bytes);
    }
    sessions.set(head.session, frames);
    for (const exchange of drafts.all()) exchanges.set(exchange.request.x, exchange);
  }
  if (findings.list().length > 0) throw new Error(JSON.stringify(findings.list()));
  return { sessions, exchanges, everything: Buffer.concat(everything) };
}

type Side = { parts: Uint8Array[]; end: string | undefined };
type Draft = {
  request: RequestFrame;
  decision: DecisionFrame | undefined;
  response: ResponseFrame | undefined;
  git: GitFrame[];
  gaps: GapFrame[];
  c2s: Side;
  s2c: Side;
};

class Drafts {
  readonly #session: string;
  readonly #drafts = new Map<string, Draft>();

  constructor(session: string) {
    this.#session = session;
  }

  see(frame: Frame, bytes: Uint8Array | undefined): void {
    if (frame.k === "request") this.#begin(frame);
    if (frame.k === "gap") for (const x of frame.exchanges) this.#drafts.get(x)?.gaps.push(frame);
    const draft = "x" in frame ? this.#drafts.get(frame.x) : undefined;
    if (!draft) return;
    if (frame.k === "decision") draft.decision = frame;
    if (frame.k === "response") draft.response = frame;
    if (frame.k === "git") draft.git.push(frame);
    if (frame.k !== "data") return;
    if (bytes) draft[frame.dir].parts.push(bytes);
    if (frame.end !== undefined) draft[frame.dir].end = frame.end;
  }

  all(): RecordedExchange[] {
    return [...this.#drafts.values()].map(({ c2s, s2c, ...draft }) => ({
      session: this.#session,
      ...draft,
      sent: { bytes: Buffer.concat(c2s.parts), end: c2s.end },
      answered: { bytes: Buffer.concat(s2c.parts), end: s2c.end },
    }));
  }

  #begin(request: RequestFrame): void {
    const side = (): Side => ({ parts: [], end: undefined });
    this.#drafts.set(request.x, {
      request,
      decision: undefined,
      response: undefined,
      git: [],
      gaps: [],
      c2s: side(),
      s2c: side(),
    });
  }
}
