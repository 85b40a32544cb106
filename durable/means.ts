/** What the objects need of the world around them. The recorder service builds it from its bindings. */

import type { Rest } from "#durable/approval/standing.ts";
import type { Asked } from "#durable/custody/custody.ts";
import type { ApprovalRow } from "#durable/format/approval/approval.ts";
import type { Grant, StandingRow } from "#durable/format/approval/standing.ts";
import type { Acceptance, Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";
import type { NotBefore } from "#durable/format/head.ts";
import type { ApprovalId, SessionId, StandingId } from "#durable/format/ids.ts";
import type { Attestable, Ended, Successor } from "#durable/format/log/attestation.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Answer, Opening, SessionView } from "#durable/format/tape.ts";
import type { LogSigner } from "#durable/proof/log/checkpoint.ts";
import type { Archive } from "#durable/store/archive.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";
import type { Witnesses } from "#durable/store/log/cosigning.ts";
import type { Tsa } from "#durable/store/log/tsa.ts";
import type { Prober } from "#durable/store/probe/probe.ts";
import type { JournalBatch } from "./journal.ts";

export type Limits = {
  readonly idleSeconds: number;
  readonly maxSeconds: number;
  readonly cutSeconds: number;
  readonly headSeconds: number;
  readonly backlogBytes: number;
};

/** The ledger as sessions see it. */
export interface Ledger {
  /** Gives a head its place, once: the same session and number get the same index again. Durable when it returns. */
  append(session: SessionId, n: number, head: string): Promise<number>;
  /**
   * Says something that is no head, signed with the seal key. `key` is the caller's, among those of its kind: the same
   * key and facts get the same index again; the same key and other facts throw. Durable when it returns.
   */
  attest(key: string, attestation: Attestable): Promise<number>;
  /** A decision of `session` was made with this policy set: when that is news, the log says so before this returns. */
  policy(set: string, session: SessionId): Promise<void>;
  /** Returns when every entry so far is in the archive. */
  publish(): Promise<void>;
  /** The bytes of a head, as `bundle` gives them, in whichever log it is. */
  stored(session: SessionId, n: number): Promise<string>;
  /** The bytes of an entry as the archive has them, once it has them: the head, with its proof and its checkpoint. */
  bundle(index: number): Promise<string>;
  /** The newest published checkpoint; undefined before the first. */
  newest(): Promise<NotBefore | undefined>;
}

/** The log before this one, which has ended, or is about to. */
export interface Predecessor {
  /** Ends it: nothing is taken after the entry that names the successor. Its last checkpoint, once that is in the archive. */
  end(successor: Successor): Promise<Ended>;
  /** The entry that was made under a key. */
  placed(key: string): Promise<{ readonly index: number; readonly said: Uint8Array } | undefined>;
  bundle(index: number): Promise<string>;
  newest(): Promise<NotBefore | undefined>;
}

/** Why no session was opened: bytes that wait for the archive, or seconds until this principal may open another. */
export type Unopened = { readonly full: number } | { readonly later: number };

/** The directory as sessions and entrypoints see it. */
export interface Directory {
  /** The open session of a key, or a new one. */
  resolve(key: string, opening: Opening): Promise<{ readonly session: SessionId } | Unopened>;
  find(session: SessionId): Promise<{ readonly key: string; readonly view: SessionView } | undefined>;
  /** The newest 1,000, of everybody or of one principal; newest first. */
  list(of?: Principal): Promise<readonly SessionView[]>;
  erase(session: SessionId, asked: Asked): Promise<Answer<SessionView>>;
  legalHold(session: SessionId, state: "set" | "lifted", asked: Asked): Promise<Answer<SessionView>>;
  /** A session tells what became of it; the directory keeps the newest. */
  tell(view: SessionView): Promise<void>;
}

/** The directory as approvals and their entrypoints see it. */
export interface Approvals {
  claim(
    digest: string,
    fresh: ApprovalId,
    expires: number,
    rounds?: boolean,
  ): Promise<ApprovalId | undefined>;
  tellApproval(row: ApprovalRow): Promise<void>;
  forgetApproval(approval: ApprovalId): Promise<void>;
  approvals(): Promise<readonly ApprovalRow[]>;
}

/** The directory's list of what was approved in advance. */
export interface StandingApprovals {
  /** False when there are too many. The same one again is the same. */
  grantStanding(row: Omit<StandingRow, "state">): Promise<boolean>;
  joinStanding(standing: StandingId, grant: Grant): Promise<StandingRow | undefined>;
  revokeStanding(
    standing: StandingId,
    revoked: NonNullable<StandingRow["revoked"]>,
  ): Promise<readonly Rest[]>;
  /** What rested on it is cut, or had ended. */
  rested(standing: StandingId): Promise<void>;
  /** Whether an exchange may leave by it now. */
  restOn(standing: StandingId, rest: Rest): Promise<boolean>;
  standing(standing: StandingId): Promise<StandingRow | undefined>;
  liveStanding(): Promise<readonly StandingRow[]>;
  allStanding(): Promise<readonly StandingRow[]>;
}

/** The directory as whoever asks for definitions sees it. */
export interface Pinned {
  known(
    connection: string,
    principal: Principal,
    tools: readonly string[],
  ): Promise<readonly (Known | null)[]>;
  learn(
    connection: string,
    principal: Principal,
    shown: readonly Definition[],
  ): Promise<readonly PinState[] | null>;
  accept(connection: string, principal: Principal, accepted: Acceptance): Promise<boolean>;
  opened(connection: string, principal: Principal, serverSession: string): Promise<void>;
  isOwn(connection: string, principal: Principal, serverSession: string): Promise<boolean>;
}

/** The journal, shared by all sessions of a recorder. */
export interface Journal {
  append(session: SessionId, batch: JournalBatch): Promise<void>;
  batches(session: SessionId): Promise<readonly JournalBatch[]>;
  forget(session: SessionId, below: number): Promise<void>;
  drop(session: SessionId, from: number): Promise<void>;
  /** Does nothing, after everything that was called before it. */
  rest(): Promise<void>;
}

export type Means = {
  /** Who writes lately: told of every batch. */
  readonly crowd: { joins(session: SessionId, at: number): boolean };
  readonly limits: Limits;
  readonly archive: Archive;
  /** Puts the archive's store to the test; absent where nothing is to be probed. */
  readonly prober?: Prober | undefined;
  /** The auditors: sessions that open are encrypted to them. None: they are not encrypted. */
  readonly encryptTo: readonly string[];
  /** Where the keys of encrypted sessions are; absent on a node that never had any. */
  readonly keys?: KeyStore;
  /** ECDSA P-256 over SHA-256, as r||s. */
  readonly sign: (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>;
  /** PEM, SubjectPublicKeyInfo. */
  readonly sealPub: string;
  /** Signs checkpoints. Its keys bear the log's name. */
  readonly log: LogSigner;
  readonly witnesses: Witnesses;
  /** Who gives checkpoints and seals their timestamps; absent when nobody is asked. */
  readonly tsa?: Tsa | undefined;
  /** Where the log lies in the archive: empty for the first, else its folder. */
  readonly shard: string;
  /** Absent while the log is the first of its archive. */
  readonly predecessor?: Predecessor | undefined;
  /** Keyed digest, lower-case hex: the same text gives the same pseudonym on one node. */
  readonly pseudonym: (text: string) => Promise<string>;
  readonly origin: string;
  readonly build: string;
  readonly config: string;
  readonly journal: Journal;
  readonly ledger: Ledger;
  readonly directory: Directory;
  /** Wakes a session, so that it looks after itself: after a restart nobody else might. False when it never opened. */
  readonly wake: (session: SessionId) => Promise<boolean>;
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
};

/** What a ledger needs of them: those of its own log, and the newest log for what it may not say any more. */
export type LedgerMeans = Pick<
  Means,
  | "archive"
  | "sign"
  | "sealPub"
  | "log"
  | "witnesses"
  | "tsa"
  | "shard"
  | "predecessor"
  | "ledger"
  | "prober"
  | "now"
  | "random"
>;

/** The recorder's own log, one JSON line. Never holds bodies, tokens or names. */
export function alert(code: string, facts: Readonly<Record<string, string | number>>): void {
  console.error(JSON.stringify({ level: "alert", code, ...facts }));
}
