/** LedgerObject: the transparency log. Gives every head its place, and all else the node attests; signs checkpoints; publishes. */
import { DurableObject } from "cloudflare:workers";
import * as v from "valibot";
import { type Envelope, NotBefore } from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { entryKey } from "#durable/format/layout.ts";
import type { Attestable, Attestation, Ended, Successor } from "#durable/format/log/attestation.ts";
import { encodeAttestation, factsDigest } from "#durable/proof/attestation.ts";
import { equal, fromBase64, readUtf8, toBase64 } from "#durable/proof/bytes.ts";
import { signEnvelope } from "#durable/proof/dsse.ts";
import { readPem } from "#durable/proof/key.ts";
import { checkpointText, signCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { entryBody } from "#durable/proof/log/entry.ts";
import { writeVkey } from "#durable/proof/log/note.ts";
import { emptyRoot, leafHash } from "#durable/proof/merkle.ts";
import { makeSignedHead, type SignedHead } from "#durable/proof/seal.ts";
import { readStatement } from "#durable/proof/statement.ts";
import type { Archive } from "#durable/store/archive.ts";
import { Chores } from "#durable/store/chores/chores.ts";
import { type IndexRows, indexRows } from "#durable/store/chores/index-rows.ts";
import { dayOfHead, indexRow } from "#durable/store/chores/session-index.ts";
import { cosign, LogContradicted } from "#durable/store/log/cosigning.ts";
import { extension } from "#durable/store/log/extension.ts";
import { contradiction, nameOf } from "#durable/store/log/place/look.ts";
import { within } from "#durable/store/log/place/shard.ts";
import { PolicySets } from "#durable/store/log/policy-sets.ts";
import { growthTo, publish, signedOf } from "#durable/store/log/publish.ts";
import {
  type CheckpointRow,
  LEDGER_MIGRATIONS,
  type LedgerRows,
  ledgerRows,
  type NewEntry,
} from "#durable/store/log/rows.ts";
import { migrate } from "#durable/store/migrations.ts";
import { nextDelay } from "#durable/store/outbox.ts";
import { alert, type LedgerMeans, type Predecessor } from "./means.ts";
import { epoch } from "./run.ts";

/** A checkpoint is signed again after this, though nothing was added: silence can be proven too. */
const SIGN_AGAIN_SECONDS = 600;
/** Entries of one checkpoint: what waited for the archive for long does not fill the memory. */
const ROUND = 512;
/** Bundles kept in memory for the sessions that are about to seal themselves with them. */
const RECENT = 256;
/** How often a log that has ended looks whether a day is over whose sessions it has not listed. */
const LIST_MS = 3_600_000;
/** How long an append waits to hear whether the archive is ahead; after that it is looked at before signing only. */
const LOOK_MS = 1_000;

export abstract class LedgerObject extends DurableObject {
  protected abstract readonly means: LedgerMeans;
  #rows!: LedgerRows;
  /** The log's own folder of the archive. */
  #archive!: Archive;
  #index!: IndexRows;
  #chores!: Chores;
  #publishing: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  #looked = false;
  #asking: Promise<void> | undefined;
  /** Why this ledger signs nothing, and takes nothing: it is not the one that wrote the archive. */
  #refused: string | undefined;
  #attempts = 0;
  #beginning: Promise<void> | undefined;
  readonly #recent = new Map<number, string>();
  readonly #policies = new PolicySets();

  protected load(): void {
    migrate(this.ctx.storage.sql, LEDGER_MIGRATIONS);
    const { sql } = this.ctx.storage;
    const storage = { sql, transactionSync: <T>(work: () => T) => this.ctx.storage.transactionSync(work) };
    this.#rows = ledgerRows(storage);
    this.#index = indexRows(storage);
    const { archive, shard, now, random } = this.means;
    this.#archive = within(archive, shard);
    const { fact, setFact } = this.#rows;
    // What a log that has ended still has to list is said in the newest.
    const attest = (key: string, said: Attestable, along?: () => void) =>
      fact("ended") === undefined ? this.#attest(key, said, along) : this.means.ledger.attest(key, said);
    const more = { prober: () => this.means.prober, index: this.#index, run: epoch, tell: alert };
    this.#chores = new Chores({ archive, fact, setFact, attest, now, random, ...more });
  }

  /** The index of a head: the next one, or the one it got when it was first appended. Durable when this returns. */
  async append(session: SessionId, n: number, head: string): Promise<number> {
    await this.#ready();
    const { dsseEnvelope } = JSON.parse(head) as SignedHead;
    const body = entryBody(dsseEnvelope, readPem(this.means.sealPub));
    const leaf = leafHash(body);
    const entry = { key: `head ${session} ${n}`, said: leaf, leaf, body, head };
    const before = await this.means.predecessor?.placed(entry.key);
    if (before && !equal(before.said, leaf))
      throw new Error(`${entry.key} is in the ledger with other bytes`);
    if (before) return before.index;
    return this.#place(entry, (index) => this.#listLater(dsseEnvelope, index));
  }

  /** A session is listed from its last head on. */
  #listLater({ payload }: Envelope, index: number): void {
    const statement = readStatement(fromBase64(payload) ?? new Uint8Array());
    // What cannot be read is no head of ours, and is the log's all the same.
    if (typeof statement === "string") return;
    const row = indexRow(statement.predicate, index);
    if (row) this.#index.add(index, dayOfHead(statement.predicate), row);
  }

  /** The index of anything else the log is to say, under a key of its kind: as with heads, once. Durable when it returns. */
  attest(key: string, attestation: Attestable): Promise<number> {
    return this.#attest(key, attestation);
  }

  async #attest(key: string, attestation: Attestation, along?: () => void): Promise<number> {
    await this.#ready();
    return this.#say(key, attestation, along);
  }

  async #say(key: string, attestation: Attestation, along?: () => void): Promise<number> {
    const { sealPub, sign, log, now } = this.means;
    const place = { key: `${attestation.kind} ${key}`, said: factsDigest(attestation) };
    const known = this.#known(place);
    if (known !== undefined) return known;
    const spki = readPem(sealPub);
    const payload = encodeAttestation(attestation, { origin: log.keys.ed25519.name, at: now() });
    const envelope = await signEnvelope(payload, sign);
    const body = entryBody(envelope, spki);
    const head = JSON.stringify(makeSignedHead(envelope, spki));
    return this.#place({ ...place, leaf: leafHash(body), body, head }, along);
  }

  async #ready(): Promise<void> {
    if (!this.#looked) await this.#lookBriefly();
    if (this.#refused !== undefined) throw new Error(this.#refused);
    if (this.means.predecessor && this.#rows.size() === 0) await this.#begin(this.means.predecessor);
  }

  /** A log that goes on for another says so in its first entry, which seals the other: nothing is before it. */
  #begin(predecessor: Predecessor): Promise<void> {
    this.#beginning ??= this.#beginAfter(predecessor).finally(() => {
      this.#beginning = undefined;
    });
    return this.#beginning;
  }

  async #beginAfter(predecessor: Predecessor): Promise<void> {
    // One that could not be looked at might not be empty.
    await this.#look();
    if (this.#refused !== undefined) throw new Error(this.#refused);
    const { ed25519, mlDsa } = this.means.log.keys;
    const keys = { log: writeVkey(ed25519), logPq: writeVkey(mlDsa) };
    const ended = await predecessor.end({ origin: ed25519.name, ...keys });
    await this.#say("begin", { kind: "key-event", event: "begin", predecessor: ended });
  }

  /** Ends this log for the one that goes on. Said once: another successor is refused. */
  async end(successor: Successor): Promise<Ended> {
    await this.#ready();
    const along = () => this.#rows.setFact("ended", successor.origin);
    await this.#say("end", { kind: "key-event", event: "end", successor }, along);
    await this.publish();
    const last = this.#rows.published();
    if (!last) throw new Error("a log without entries cannot end");
    const { size, root } = last;
    return { origin: this.means.log.keys.ed25519.name, size, rootHash: toBase64(root) };
  }

  /** Of a head, or of anything else that has a key. */
  async placed(key: string): Promise<{ readonly index: number; readonly said: Uint8Array } | undefined> {
    const own = this.#rows.find(key);
    if (own) return own;
    const before = await this.means.predecessor?.placed(key);
    // A copy: an answer that is handed on as it came keeps both objects alive for as long as its receiver.
    return before && { index: before.index, said: before.said };
  }

  /** A decision was made with this policy set. When the log has another as the newest, it says that it changed. */
  async policy(set: string, session: SessionId): Promise<void> {
    const change = this.#policies.news(this.#rows.fact("policy"), set, this.means.now());
    if (!change) return;
    const { key, before, fact } = change;
    const facts = { kind: "policy-change", set, ...(before !== undefined && { before }), session } as const;
    await this.#attest(key, facts, () => {
      this.#rows.setFact("policy", fact);
      this.#policies.changed(before, this.means.now());
    });
  }

  /** Nothing is awaited between the look and the row, with what belongs to it: one key gets one place. */
  async #place(entry: NewEntry, along?: (index: number) => void): Promise<number> {
    const known = this.#known(entry);
    if (known !== undefined) return known;
    const ended = this.#rows.fact("ended");
    if (ended !== undefined) throw new Error(`this log has ended: ${ended} goes on`);
    const index = this.#rows.size();
    this.#rows.add(index, entry, along);
    await this.#due(this.means.now() + 100);
    return index;
  }

  #known({ key, said }: Pick<NewEntry, "key" | "said">): number | undefined {
    const known = this.#rows.find(key);
    if (known && !equal(known.said, said)) throw new Error(`${key} is in the ledger with other bytes`);
    return known?.index;
  }

  /** Returns when every entry appended before the call is in the archive. Throws when the archive fails. */
  async publish(): Promise<void> {
    const size = this.#rows.size();
    while ((this.#rows.published()?.size ?? 0) < size || this.#rows.pending()) {
      if (this.#publishing) await this.#publishing;
      else await this.#round();
    }
  }

  /** The stored bytes of an entry, once it is in the archive with everything before it. */
  async bundle(index: number): Promise<string> {
    await this.publish();
    const known = this.#recent.get(index);
    if (known !== undefined) return known;
    const stored = await this.#archive.get(entryKey(index));
    const text = stored && readUtf8(stored);
    if (text === undefined) throw new Error(`entry ${index} of the ledger is not in the archive`);
    return text;
  }

  /** The stored bytes of a head, in this log or in one before it. */
  async stored(session: SessionId, n: number): Promise<string> {
    const key = `head ${session} ${n}`;
    const own = this.#rows.find(key);
    if (own) return this.bundle(own.index);
    const { predecessor } = this.means;
    const before = await predecessor?.placed(key);
    if (!predecessor || !before) throw new Error(`${key} is not in the ledger`);
    return predecessor.bundle(before.index);
  }

  /** The newest published checkpoint that enough witnesses cosigned: what is recorded now, is recorded after it. */
  async newest(): Promise<NotBefore | undefined> {
    const cosigned = this.#rows.fact("cosigned");
    if (cosigned === undefined) {
      const before = await this.means.predecessor?.newest();
      return before && v.parse(NotBefore, before);
    }
    return v.parse(NotBefore, JSON.parse(cosigned));
  }

  override async alarm(): Promise<void> {
    for (const chore of this.#chores.begin()) this.ctx.waitUntil(chore);
    try {
      await this.publish();
      if (this.#signDue()) await this.#round();
      this.#attempts = 0;
    } catch (cause) {
      this.#attempts += 1;
      alert("ledger_delayed", { attempt: this.#attempts, cause: String(cause) });
      await this.ctx.storage.setAlarm(this.means.now() + nextDelay(this.#attempts, Math.random()));
      return;
    }
    const last = this.#open();
    if (last) await this.#due((last.at + SIGN_AGAIN_SECONDS) * 1000);
    else if (this.#index.some()) await this.#due(this.means.now() + LIST_MS);
  }

  /** One checkpoint and everything of it; rounds never overlap. */
  #round(): Promise<void> {
    const round = this.#publish().finally(() => {
      if (this.#publishing === round) this.#publishing = undefined;
    });
    this.#publishing = round;
    return round;
  }

  async #publish(): Promise<void> {
    const { sealPub, log, witnesses, tsa } = this.means;
    const [archive, rows] = [this.#archive, this.#rows];
    await this.#look();
    if (this.#refused === undefined) await this.#ask();
    if (this.#refused !== undefined) throw new Error(this.#refused);
    const signed = this.#rows.pending() ?? (await this.#sign());
    const stored = (index: number, bundle: string) => {
      this.#recent.set(index, bundle);
      for (const old of this.#recent.keys()) if (this.#recent.size > RECENT) this.#recent.delete(old);
    };
    const publishing = { archive, rows, keys: log.keys, sealPub, witnesses, tsa, tell: alert, stored };
    await this.#unlessContradicted(() => publish(publishing, signed));
    const last = this.#open();
    if (last) await this.#due((last.at + SIGN_AGAIN_SECONDS) * 1000);
  }

  /** Entries, edge and signed checkpoint are in SQL together, before anybody sees the signature. */
  async #sign(): Promise<CheckpointRow> {
    const { log, now } = this.means;
    const before = this.#rows.published();
    const start = before?.size ?? 0;
    const size = Math.min(this.#rows.size(), start + ROUND);
    const { root, edge } = growthTo(this.#rows, before, size);
    // Later than the one before, so that no two checkpoints of a size have one name.
    const at = Math.max(Math.floor(now() / 1000), (before?.at ?? 0) + 1);
    const note = await signCheckpoint({ origin: log.keys.ed25519.name, size, root }, at, log);
    const signed = { start, size, at, root, edge: edge.hashes, note };
    this.#rows.addCheckpoint(signed, nameOf(log.keys));
    return signed;
  }

  /** The newest checkpoint, which is signed again unless the log has ended. */
  #open(): CheckpointRow | undefined {
    return this.#rows.fact("ended") === undefined ? this.#rows.published() : undefined;
  }

  #signDue(): boolean {
    const last = this.#open();
    return last !== undefined && this.means.now() >= (last.at + SIGN_AGAIN_SECONDS) * 1000;
  }

  /** Holds the archive against the tables, once a life of the object. Throws when the archive cannot be read. */
  #look(): Promise<void> {
    this.#looking ??= this.#compare().then(
      () => {
        this.#looked = true;
      },
      (cause: unknown) => {
        this.#looking = undefined;
        throw cause;
      },
    );
    return this.#looking;
  }

  /** An archive that cannot be read stops no recording; one that is ahead does. */
  async #lookBriefly(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LOOK_MS);
    });
    // What failed here is tried again, and told, before anything is signed.
    await Promise.race([this.#look().catch(() => undefined), late]);
    clearTimeout(timer);
  }

  async #compare(): Promise<void> {
    const why = await contradiction(this.#archive, this.#rows, this.means.log.keys);
    if (why !== undefined) this.#refuse(why);
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#askWitnesses().catch((cause: unknown) => {
      this.#asking = undefined;
      throw cause;
    });
    return this.#asking;
  }

  /** Before the first signature of a life of the object: a witness may have seen more of this log than the archive holds. */
  async #askWitnesses(): Promise<void> {
    const { log, witnesses, now } = this.means;
    // What is on its way is sent to them as it is, and nothing new is signed before.
    if (witnesses.all.length === 0 || this.#rows.pending()) return;
    const published = this.#rows.published();
    const size = published?.size ?? 0;
    const growth = growthTo(this.#rows, published, size);
    const none = { origin: log.keys.ed25519.name, size: 0, root: emptyRoot() };
    const signed = published
      ? signedOf(published, log.keys)
      : {
          checkpoint: none,
          text: checkpointText(none),
          note: await signCheckpoint(none, Math.floor(now() / 1000), log),
        };
    const prove = (old: number) => extension(this.#archive, growth, old);
    await this.#unlessContradicted(() => cosign(witnesses, signed, size, prove, alert));
  }

  async #unlessContradicted(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (!(cause instanceof LogContradicted)) throw cause;
      this.#refuse(cause.message, "take it out of the configuration if it is the one that errs");
      throw new Error(this.#refused, { cause });
    }
  }

  #refuse(why: string, or = "begin a new archive with a new origin"): void {
    this.#refused = `${why}: restore the ledger that wrote this archive, or ${or}`;
    alert("ledger_refuses", { cause: this.#refused });
  }

  async #due(at: number): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at || set < this.means.now()) await this.ctx.storage.setAlarm(at);
  }
}
