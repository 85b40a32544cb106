/** A small recorder for tests: writes archives as EVIDENCE has them, and, where a test asks, as a bad recorder would. */
import { createPrivateKey, sign } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { type BodyEnd, type Direction, type Frame, frameLine, saltText } from "#durable/format/frame.ts";
import type { Head, HeadStatus, SegmentEntry, Subject } from "#durable/format/head.ts";
import { type ExchangeId, mintExchangeId, mintSessionId, type SessionId } from "#durable/format/ids.ts";
import {
  bytesName,
  CHECKPOINT,
  checkpointKey,
  entryKey,
  framesName,
  LOG_PQ_VKEY,
  LOG_VKEY,
  SEAL_NAME,
  SEAL_PUB,
  sessionFolder,
  TRUSTED_ROOT,
  tileKey,
  WITNESS_POLICY,
} from "#durable/format/layout.ts";
import {
  type Bytes,
  concat,
  fromBase64,
  fromHex,
  sha256,
  toBase64,
  toHex,
  utf8,
} from "#durable/proof/bytes.ts";
import { signEnvelope } from "#durable/proof/dsse.ts";
import { toPem } from "#durable/proof/key.ts";
import { logId, makeTlogEntry } from "#durable/proof/log/bundle.ts";
import { signCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { entryBody } from "#durable/proof/log/entry.ts";
import { EMPTY_EDGE, Growth } from "#durable/proof/log/growth.ts";
import { NO_QUORUM, policyText } from "#durable/proof/log/policy.ts";
import { encodeEntries, TILE, tilePath } from "#durable/proof/log/tile.ts";
import { trustedRoot, vkeyFile } from "#durable/proof/log/trust.ts";
import { leafHash, rangeOf, rootOf } from "#durable/proof/merkle.ts";
import { consistencyProof } from "#durable/proof/proofs.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { encodeBundle, makeBundle, makeSignedHead, type SignedHead, sealHead } from "#durable/proof/seal.ts";
import { encodeStatement, makeStatement, type PushedCommit } from "#durable/proof/statement.ts";
import { type Counts, count, emptyCounts } from "#durable/proof/verify/tape/tally.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";
import golden from "../../vectors/golden.json" with { type: "json" };

export type Objects = Map<string, Bytes>;
export { ORIGIN };
/** The log of every archive here. */
export const LOG = await logSigner();
export const START = Date.UTC(2026, 10, 22, 7);

const base64Url = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("base64url");

export const SPKI = fromBase64(golden.sealSpkiB64) ?? new Uint8Array();
const POINT = {
  kty: "EC",
  crv: "P-256",
  x: base64Url(SPKI.subarray(27, 59)),
  y: base64Url(SPKI.subarray(59)),
};
const PRIVATE = createPrivateKey({
  key: { ...POINT, d: base64Url(fromHex(golden.sealKeySeedHex)) },
  format: "jwk",
});

export const signer = async (bytes: Uint8Array): Promise<Uint8Array> =>
  sign("sha256", bytes, { key: PRIVATE, dsaEncoding: "ieee-p1363" });

export function source(objects: Objects): Source {
  const keys = [...objects.keys()].sort();
  return {
    get: async (key) => objects.get(key),
    stat: async (key) => (objects.has(key) ? { bytes: objects.get(key)?.byteLength ?? 0 } : undefined),
    async *list(prefix) {
      for (const key of keys) if (key.startsWith(prefix)) yield key;
    },
  };
}

export const fill = (length: number, seed: number): Bytes =>
  Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >> 3)) & 0xff);

/** An archive under way: heads of any session take the next place in its ledger. */
export class Archive {
  readonly objects: Objects = new Map([
    [SEAL_PUB, utf8(toPem(SPKI))],
    [LOG_VKEY, vkeyFile(LOG.keys, "ed25519")],
    [LOG_PQ_VKEY, vkeyFile(LOG.keys, "mlDsa")],
    [TRUSTED_ROOT, trustedRoot(LOG.keys)],
    [WITNESS_POLICY, utf8(policyText(LOG.keys, NO_QUORUM))],
  ]);
  readonly #bodies: Bytes[] = [];
  #edge = EMPTY_EDGE;
  next = 0;

  session(n: number, bend: Bend = {}): Recording {
    return new Recording(this, mintSessionId(START, fill(10, n)), bend);
  }

  /** A round of the ledger's for each head. Returns the stored bundle. */
  async append(head: SignedHead): Promise<Bytes> {
    const index = this.next++;
    const { keys } = LOG;
    const envelope = head.dsseEnvelope;
    this.#bodies.push(entryBody(envelope, SPKI));
    const growth = new Growth(this.#edge, [leafHash(this.#bodies.at(-1) ?? SPKI)]);
    this.#edge = growth.edge;
    const { size, root } = growth;
    const at = START / 1000 + index;
    const note = await signCheckpoint({ origin: ORIGIN, size, root }, at, LOG);
    for (const { path, bytes } of growth.tiles()) this.objects.set(tileKey(path), bytes);
    const first = index - (index % TILE);
    const entries = encodeEntries(this.#bodies.slice(first));
    this.objects.set(tileKey(tilePath("entries", first / TILE, size - first)), entries);
    this.objects.set(CHECKPOINT, utf8(note));
    this.objects.set(checkpointKey(size, at), utf8(note));
    const place = { index, body: entryBody(envelope, SPKI), size, root, note, logId: logId(keys.ed25519) };
    const bundle = encodeBundle(
      makeBundle(head, makeTlogEntry({ ...place, proof: growth.inclusion(index) })),
    );
    this.objects.set(entryKey(index), bundle);
    return bundle;
  }
}

/** What a bad recorder changes before it hashes and signs. */
export type Bend = {
  readonly line?: (line: string, seq: number) => string | Bytes;
  readonly at?: (seq: number) => number;
  readonly packed?: (lines: Bytes) => Bytes;
  readonly head?: (head: Head) => Head;
  readonly subjects?: (subjects: readonly Subject[]) => Subject[];
};

export class Recording {
  readonly session: SessionId;
  readonly folder: string;
  readonly #archive: Archive;
  readonly #bend: Bend;
  readonly #leaves: Bytes[] = [];
  readonly #segments: SegmentEntry[] = [];
  readonly #heads: Head[] = [];
  #lines: Bytes[] = [];
  #chunks: Bytes[] = [];
  readonly #counts: Counts = emptyCounts();
  #segmentsOf = { frames: 0, bytes: 0 };
  #exchanges = 0;

  constructor(archive: Archive, session: SessionId, bend: Bend) {
    this.#archive = archive;
    this.session = session;
    this.folder = sessionFolder(session);
    this.#bend = bend;
  }

  get lastHead(): string {
    return entryKey(this.#archive.next - 1);
  }

  write(frame: Frame, salt = fill(16, this.#leaves.length + 1)): void {
    const seq = this.#leaves.length;
    const at = this.#bend.at?.(seq) ?? START + seq * 10;
    const text = frameLine(seq, at, saltText(salt), frame);
    const line = this.#bend.line?.(text, seq) ?? text;
    const bytes = typeof line === "string" ? utf8(line) : line;
    this.#leaves.push(leafHash(bytes));
    this.#lines.push(bytes);
    count(this.#counts, frame);
  }

  async begin(): Promise<void> {
    const principal = { issuer: "https://id.example", subject: "u-1", groups: ["devs"] };
    this.write({ k: "session.start", session: this.session, principal, client: "git/2.39.5" });
    await this.head("open");
  }

  text(x: ExchangeId, dir: Direction, off: number, d: string): void {
    this.write({ k: "data", x, dir, off, d });
  }

  raw(
    x: ExchangeId,
    dir: Direction,
    off: number,
    bytes: Bytes,
    pointer?: readonly [number, number, number],
    end?: BodyEnd,
  ): void {
    const salt = fill(16, this.#leaves.length + 1);
    const at = this.#chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    this.#chunks.push(bytes);
    const place = pointer ?? ([this.#segmentsOf.bytes, at, bytes.byteLength] as const);
    const ends = end === undefined ? {} : { end };
    this.write({ k: "data", x, dir, off, bytes: place, sha256: toHex(sha256(salt, bytes)), ...ends }, salt);
  }

  end(x: ExchangeId, dir: Direction, off: number, end: BodyEnd = "complete"): void {
    this.write({ k: "data", x, dir, off, end });
  }

  exchange(): ExchangeId {
    const chance = new Uint8Array(10);
    new DataView(chance.buffer).setUint32(6, this.#exchanges++);
    return mintExchangeId(START, chance);
  }

  request(x: ExchangeId, verdict: "allow" | "deny" | "none" = "allow"): void {
    const operation = {
      kind: "git.refs",
      repository: "app",
      service: "git-upload-pack",
      version: 2,
    } as const;
    this.write({
      k: "request",
      x,
      connection: "" as const,
      operation,
      method: "GET",
      path: "/app/info/refs",
      headers: [],
    });
    if (verdict !== "none") this.decide(x, verdict);
  }

  decide(x: ExchangeId, verdict: "allow" | "deny"): void {
    this.write({ k: "decision", x, verdict, policies: ["p0"], set: "0".repeat(64), reason: "", denied: [] });
  }

  respond(x: ExchangeId, refused = false): void {
    const refusal = refused ? { refusal: { code: "denied", message: "not allowed" } } : {};
    this.write({
      k: "response",
      x,
      status: refused ? 403 : 200,
      headers: [["content-type", "text/plain"]],
      ...refusal,
    });
  }

  /** A whole exchange with a text answer. */
  talk(text = "ok\n", verdict: "allow" | "deny" = "allow"): ExchangeId {
    const x = this.exchange();
    this.request(x, verdict);
    this.end(x, "c2s", 0);
    this.respond(x, verdict === "deny");
    this.text(x, "s2c", 0, text);
    this.end(x, "s2c", Buffer.byteLength(text));
    return x;
  }

  cutFrames(): void {
    if (this.#lines.length === 0) return;
    const name = framesName(this.#segmentsOf.frames++);
    const frames = this.#lines.length;
    const firstFrame = this.#leaves.length - frames;
    const lines = concat(this.#lines.flatMap((line) => [line, utf8("\n")]));
    const packed = this.#bend.packed?.(lines) ?? new Uint8Array(zstdCompressSync(lines));
    const range = rangeOf(this.#leaves, firstFrame).serialise();
    this.#store(name, packed, { firstFrame, frames, range });
    this.#lines = [];
  }

  cutBytes(): void {
    if (this.#chunks.length === 0) return;
    this.#store(bytesName(this.#segmentsOf.bytes++), concat(this.#chunks), {});
    this.#chunks = [];
  }

  #store(name: string, bytes: Bytes, more: Partial<SegmentEntry>): void {
    this.#archive.objects.set(`${this.folder}${name}`, bytes);
    this.#segments.push({ name, sha256: toHex(sha256(bytes)), bytes: bytes.byteLength, ...more });
  }

  async close(
    status: "closed" | "truncated" = "closed",
    commits: readonly PushedCommit[] = [],
  ): Promise<void> {
    if (status === "closed") this.write({ k: "session.end", reason: "request" });
    else
      this.write({
        k: "session.truncated",
        cause: "the recorder stopped",
        lastDurable: this.#leaves.length - 1,
        exchanges: [],
      });
    this.cutFrames();
    this.cutBytes();
    const seal = await this.head(status, commits);
    this.#archive.objects.set(`${this.folder}${SEAL_NAME}`, seal);
  }

  async head(status: HeadStatus, commits: readonly PushedCommit[] = []): Promise<Bytes> {
    const size = this.#leaves.length;
    const previous = this.#heads.at(-1)?.head;
    const head: Head = {
      session: this.session,
      status,
      n: this.#heads.length,
      head: { origin: `${ORIGIN}/${this.session}`, size, rootHash: toBase64(rootOf(this.#leaves)) },
      ...(previous && {
        previous: {
          size: previous.size,
          rootHash: previous.rootHash,
          consistency: consistencyProof(this.#leaves, previous.size).map(toBase64),
        },
      }),
      startedAt: new Date(START).toISOString(),
      madeAt: new Date(START + size * 10).toISOString(),
      principal: `hmac:${"0".repeat(64)}`,
      gateway: { build: { sha256: "0".repeat(64) }, config: { sha256: "1".repeat(64) } },
      counts: { ...this.#counts },
      segments: this.#segments.toSorted((a, b) =>
        a.name.slice(0, 6) === b.name.slice(0, 6) ? 0 : a.name < b.name ? 1 : -1,
      ),
      encryption: "none",
      retention: { mode: "none", days: 0 },
    };
    const said = this.#bend.head?.(head) ?? head;
    this.#heads.push(said);
    return this.#archive.append(await this.#seal(said, commits));
  }

  async #seal(head: Head, commits: readonly PushedCommit[]): Promise<SignedHead> {
    if (!this.#bend.subjects) return sealHead(head, commits, SPKI, signer);
    const statement = makeStatement(head, commits);
    const bent = { ...statement, subject: this.#bend.subjects(statement.subject) };
    return makeSignedHead(await signEnvelope(encodeStatement(bent), signer), SPKI);
  }
}
