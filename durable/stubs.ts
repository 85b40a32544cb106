/** The only file that knows how objects are named, and what can be called on them. */
import type { BodyEnd, Content, Direction, EndReason } from "#durable/format/frame.ts";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
import type {
  Answer,
  DecisionTape,
  Opening,
  RequestTape,
  ResponseTape,
  SessionView,
  Target,
} from "#durable/format/tape.ts";
import type { Directory, Journal, Ledger } from "./means.ts";

/** A session as its callers see it; each call returns after what it records is durable. */
export interface Session {
  begin(session: SessionId, opening: Opening | undefined, tape: RequestTape): Promise<Answer<null>>;
  open(session: SessionId, opening: Opening): Promise<void>;
  respond(x: ExchangeId, tape: ResponseTape): Promise<Answer<null>>;
  append(
    x: ExchangeId,
    dir: Direction,
    off: number,
    bytes: Uint8Array | undefined,
    end?: BodyEnd,
    content?: readonly Content[],
  ): Promise<Answer<null>>;
  spool(x: ExchangeId, off: number, bytes: Uint8Array): Promise<Answer<null>>;
  spooled(x: ExchangeId, off: number): Promise<Answer<Uint8Array>>;
  decide(session: SessionId, x: ExchangeId, tape: DecisionTape): Promise<Answer<Target>>;
  discarded(x: ExchangeId, off: number, length: number, sha256: string): Promise<Answer<null>>;
  note(cause: string, missing: string): Promise<Answer<null>>;
  over(): Promise<string>;
  end(reason: EndReason, by?: string): Promise<Answer<SessionView>>;
  view(): Promise<SessionView | undefined>;
}

export const sessionOf = (namespace: DurableObjectNamespace, session: SessionId): Session =>
  namespace.getByName(session) as unknown as Session;

/** One journal, one ledger and one directory a recorder. */
export const journalOf = (namespace: DurableObjectNamespace): Journal =>
  namespace.getByName("journal") as unknown as Journal;
export const ledgerOf = (namespace: DurableObjectNamespace): Ledger =>
  namespace.getByName("ledger") as unknown as Ledger;
export const directoryOf = (namespace: DurableObjectNamespace): Directory =>
  namespace.getByName("directory") as unknown as Directory;
