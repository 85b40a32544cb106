/** A session as a person reads it: what was recorded, put together exchange by exchange, in the order it began. */
import type {
  BodyEnd,
  DataFrame,
  DecisionFrame,
  Frame,
  GapFrame,
  GitFrame,
  RequestFrame,
  ResponseFrame,
  SessionEnd,
  SessionStart,
  SessionTruncated,
} from "#durable/format/frame.ts";
import { readUtf8 } from "../bytes.ts";
import type { ReadFrame, ReadItem } from "../read/session.ts";
import { dataLength } from "../verify/tape/tally.ts";

/** Where a frame stands, and when it was written: milliseconds since 1970. */
export type Place = { readonly seq: number; readonly at: number };

export type BodyPart = {
  readonly seq: number;
  readonly off: number;
  readonly length: number;
  /** Absent when they were not kept, or are not what was sealed. */
  readonly bytes: Uint8Array | undefined;
  /** Of bytes that were not kept: SHA-256(salt || bytes), hex. */
  readonly digest?: string;
};
export type Body = { readonly parts: readonly BodyPart[]; readonly end: BodyEnd | undefined };

/** A frame of a kind that has no shape here, as its JSON has it. */
export type OtherFrame = Place & { readonly kind: string; readonly json: Readonly<Record<string, unknown>> };

export type Exchange = Place & {
  readonly x: string;
  /** When its last frame was written. */
  readonly until: number;
  /** Indexes of its frames, ascending. */
  readonly frames: readonly number[];
  readonly request: RequestFrame | undefined;
  readonly decision: DecisionFrame | undefined;
  readonly response: ResponseFrame | undefined;
  readonly git: readonly GitFrame[];
  readonly gaps: readonly GapFrame[];
  readonly others: readonly OtherFrame[];
  readonly c2s: Body;
  readonly s2c: Body;
};

export type ReplayItem =
  | (Place & { readonly kind: "start"; readonly frame: SessionStart })
  | { readonly kind: "exchange"; readonly exchange: Exchange }
  | (Place & { readonly kind: "gap"; readonly frame: GapFrame })
  | (Place & { readonly kind: "end"; readonly frame: SessionEnd | SessionTruncated })
  | { readonly kind: "other"; readonly frame: OtherFrame }
  /** Frames that cannot be read: a segment that is missing or altered, or one line. */
  | { readonly kind: "unread"; readonly object: string; readonly seq?: number };

type Draft = { -readonly [K in keyof Exchange]: Exchange[K] } & {
  readonly frames: number[];
  readonly git: GitFrame[];
  readonly gaps: GapFrame[];
  readonly others: OtherFrame[];
  readonly c2s: { parts: BodyPart[]; end: BodyEnd | undefined };
  readonly s2c: { parts: BodyPart[]; end: BodyEnd | undefined };
};

/** Bodies are views of what was read. Whatever is wrong with the frames, no item is left out and nothing throws. */
export async function replaySession(read: AsyncIterable<ReadItem>): Promise<ReplayItem[]> {
  const replay = new Replay();
  for await (const item of read) replay.see(item);
  return replay.items;
}

class Replay {
  readonly items: ReplayItem[] = [];
  readonly #drafts = new Map<string, Draft>();
  #at = 0;

  see(item: ReadItem): void {
    if (item.kind === "skipped") {
      this.items.push({ kind: "unread", object: item.object });
      return;
    }
    this.#at = item.at ?? this.#at;
    const place = { seq: item.seq, at: this.#at };
    if (item.frame) this.#put(item, item.frame, place);
    else this.#putOther(item, place);
  }

  #put({ bytes }: ReadFrame, frame: Frame, place: Place): void {
    switch (frame.k) {
      case "session.start":
        this.items.push({ kind: "start", ...place, frame });
        break;
      case "session.end":
      case "session.truncated":
        this.items.push({ kind: "end", ...place, frame });
        break;
      case "gap":
        this.items.push({ kind: "gap", ...place, frame });
        for (const x of frame.exchanges) this.#drafts.get(x)?.gaps.push(frame);
        break;
      case "request":
        this.#draft(frame.x, place).request ??= frame;
        break;
      case "decision":
        this.#draft(frame.x, place).decision = frame;
        break;
      case "response":
        this.#draft(frame.x, place).response ??= frame;
        break;
      case "git":
        this.#draft(frame.x, place).git.push(frame);
        break;
      case "llm":
      case "mcp":
      case "catalogue":
      case "definition":
      case "mask":
      case "hold":
      case "approval":
      case "hook":
      case "join":
        this.#draft(frame.x, place).others.push({ ...place, kind: frame.k, json: { ...frame } });
        break;
      case "data": {
        const body = this.#draft(frame.x, place)[frame.dir];
        const part = partOf(frame, place.seq, bytes);
        if (part.length > 0) body.parts.push(part);
        body.end = frame.end ?? body.end;
        break;
      }
    }
  }

  #putOther({ line, object }: ReadFrame, place: Place): void {
    const json = parse(line);
    const kind = json?.["k"];
    const x = json?.["x"];
    if (!json || typeof kind !== "string") this.items.push({ kind: "unread", object, seq: place.seq });
    else {
      const frame = { ...place, kind, json };
      if (typeof x === "string" && this.#drafts.has(x)) this.#draft(x, place).others.push(frame);
      else this.items.push({ kind: "other", frame });
    }
  }

  #draft(x: string, { seq, at }: Place): Draft {
    const known = this.#drafts.get(x);
    const draft = known ?? begun(x, { seq, at });
    draft.frames.push(seq);
    draft.until = at;
    if (!known) {
      this.#drafts.set(x, draft);
      this.items.push({ kind: "exchange", exchange: draft });
    }
    return draft;
  }
}

const begun = (x: string, place: Place): Draft => ({
  x,
  ...place,
  until: place.at,
  frames: [],
  request: undefined,
  decision: undefined,
  response: undefined,
  git: [],
  gaps: [],
  others: [],
  c2s: { parts: [], end: undefined },
  s2c: { parts: [], end: undefined },
});

function partOf(frame: DataFrame, seq: number, bytes: Uint8Array | undefined): BodyPart {
  const part = { seq, off: frame.off, length: dataLength(frame), bytes };
  return "len" in frame ? { ...part, digest: frame.sha256 } : part;
}

function parse(line: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(readUtf8(line) ?? "");
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    // The verifier has named the line; here it is one that cannot be shown.
    return undefined;
  }
}

/** How many bytes passed, whether they were kept or not. */
export const bodyLength = ({ parts }: Body): number => parts.reduce((sum, { length }) => sum + length, 0);

/** The bytes as they passed, or undefined when any of them were not kept or are not what was sealed. */
export function bodyBytes({ parts }: Body): Uint8Array | undefined {
  const kept = parts.flatMap(({ bytes }) => bytes ?? []);
  if (kept.length !== parts.length) return undefined;
  const whole = new Uint8Array(kept.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const bytes of kept) {
    whole.set(bytes, at);
    at += bytes.byteLength;
  }
  return whole;
}
