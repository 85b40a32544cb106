/** The recorder's objects with real storage and an archive in memory whose faults a test chooses. */

import { ApprovalObject as ApprovalBase, type ApprovalMeans } from "#durable/approval/approval.ts";
import type { Notice } from "#durable/approval/notice.ts";
import { BudgetObject as BudgetBase } from "#durable/budget/budget-object.ts";
import { DirectoryObject as DirectoryBase } from "#durable/directory.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { JournalObject as JournalBase } from "#durable/journal.ts";
import { LedgerObject as LedgerBase } from "#durable/ledger.ts";
import type { Limits, Means } from "#durable/means.ts";
import { toHex } from "#durable/proof/bytes.ts";
import { subtleSigner } from "#durable/proof/dsse.ts";
import { toPem } from "#durable/proof/key.ts";
import { type LogSigner, logKeys } from "#durable/proof/log/checkpoint.ts";
import { SessionObject as SessionBase } from "#durable/session.ts";
import type { Tsa } from "#durable/store/log/tsa.ts";
import type { Witness } from "#durable/store/log/witness.ts";
import type { Prober } from "#durable/store/probe/probe.ts";
import {
  approvalsOf,
  directoryOf,
  journalOf,
  ledgerName,
  ledgerOf,
  ledgerPlace,
  sessionOf,
} from "#durable/stubs.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";
import { MemoryArchive } from "./memory-archive.ts";
import { MemoryKeys } from "./memory-keys.ts";

type Bindings = {
  SESSION: DurableObjectNamespace;
  JOURNAL: DurableObjectNamespace;
  LEDGER: DurableObjectNamespace;
  DIRECTORY: DurableObjectNamespace;
};

export const archive = new MemoryArchive();
/** What probes the store, when a test says so. */
export const store: { prober?: Prober } = {};
export const keys = new MemoryKeys();
/** Recipients that sessions are encrypted to; none unless a test says some. */
export const encryption: { to: readonly string[] } = { to: [] };
/** Milliseconds that a test has let pass. */
export const clock = { ahead: 0 };
/** None, unless a test says some. */
export const witnesses: { all: Witness[]; threshold: number } = { all: [], threshold: 0 };
/** Who gives timestamps; nobody, unless a test says somebody. */
export const authority: { tsa?: Tsa | undefined } = {};
export const limits: { -readonly [K in keyof Limits]: Limits[K] } = {
  idleSeconds: 900,
  maxSeconds: 28_800,
  cutSeconds: 300,
  headSeconds: 600,
  backlogBytes: 1 << 30,
};

// A fixed key, so that every object of a test run signs alike: P-256, private scalar 1.
const JWK = {
  kty: "EC",
  crv: "P-256",
  d: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",
  x: "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
  y: "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
};
const P256 = { name: "ECDSA", namedCurve: "P-256" };
const privateKey = () => crypto.subtle.importKey("jwk", JWK, P256, false, ["sign"]);

export async function sealPub(): Promise<string> {
  const { d: _, ...point } = JWK;
  const key = await crypto.subtle.importKey("jwk", point, P256, true, ["verify"]);
  return toPem(new Uint8Array((await crypto.subtle.exportKey("spki", key)) as ArrayBuffer));
}

// The DER of the key above, and the log's signer; objects need them synchronously.
let pem = "";
let signer: LogSigner;
/** Whose log it is, and which there were before it; a test may say others. */
export const log = { origin: ORIGIN, before: [] as string[] };
const origins = (): string[] => [...log.before, log.origin];
export const knowKey = async (): Promise<void> => {
  pem = await sealPub();
  signer = await logSigner();
};

/** Whether sessions take each other to write too, and so the journal. */
export const crowd = { together: true };

function meansOf(env: Bindings): Means {
  return {
    limits,
    archive,
    get prober() {
      return store.prober;
    },
    encryptTo: encryption.to,
    keys,
    sign: async (bytes) => new Uint8Array(await subtleSigner(await privateKey())(bytes)),
    sealPub: pem,
    pseudonym: async (text) =>
      toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))),
    get log() {
      const { ed25519, mlDsa } = signer.keys;
      return { ...signer, keys: logKeys(log.origin, ed25519.bytes, mlDsa.bytes) };
    },
    witnesses,
    get tsa() {
      return authority.tsa;
    },
    shard: "",
    origin: ORIGIN,
    build: "b".repeat(64),
    config: "c".repeat(64),
    crowd: { joins: () => crowd.together },
    journal: {
      append: (session, batch) => journalOf(env.JOURNAL).append(session, batch),
      batches: (session) => journalOf(env.JOURNAL).batches(session),
      forget: (session, below) => journalOf(env.JOURNAL).forget(session, below),
      drop: (session, from) => journalOf(env.JOURNAL).drop(session, from),
      rest: () => journalOf(env.JOURNAL).rest(),
    },
    ledger: {
      append: (session, n, head) => current(env).append(session, n, head),
      attest: (key, attestation) => current(env).attest(key, attestation),
      policy: (set, session) => current(env).policy(set, session),
      publish: () => current(env).publish(),
      stored: (session, n) => current(env).stored(session, n),
      bundle: (index) => current(env).bundle(index),
      newest: () => current(env).newest(),
    },
    directory: {
      resolve: (key, opening) => directoryOf(env.DIRECTORY).resolve(key, opening),
      find: (session) => directoryOf(env.DIRECTORY).find(session),
      list: (of) => directoryOf(env.DIRECTORY).list(of),
      erase: (session, asked) => directoryOf(env.DIRECTORY).erase(session, asked),
      legalHold: (session, state, asked) => directoryOf(env.DIRECTORY).legalHold(session, state, asked),
      tell: (view) => directoryOf(env.DIRECTORY).tell(view),
    },
    wake: async (session: SessionId) => (await sessionOf(env.SESSION, session).view()) !== undefined,
    now: () => Date.now() + clock.ahead,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
  };
}

const current = (env: Bindings) => ledgerOf(env.LEDGER, ledgerName(origins()));

function ledgerMeans(env: Bindings, name: string): Means {
  const { shard, before, after } = ledgerPlace(origins(), name);
  const means = meansOf(env);
  const { ed25519, mlDsa } = signer.keys;
  const origin = origins().at(-1 - after) ?? "";
  return {
    ...means,
    get prober() {
      return after > 0 ? undefined : store.prober;
    },
    log: { ...signer, keys: logKeys(origin, ed25519.bytes, mlDsa.bytes) },
    shard,
    predecessor: before === undefined ? undefined : ledgerOf(env.LEDGER, before),
  };
}

export class SessionObject extends SessionBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.means = meansOf(env);
    this.load();
  }
}
export class JournalObject extends JournalBase {
  readonly #self;
  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.#self = journalOf(env.JOURNAL);
    this.load();
  }
  protected override turn(): Promise<void> {
    return this.#self.rest();
  }
}
export class LedgerObject extends LedgerBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.means = ledgerMeans(env, state.id.name ?? "");
    this.load();
  }
}
export class BudgetObject extends BudgetBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.means = meansOf(env);
    this.load();
  }
}
export class DirectoryObject extends DirectoryBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.means = meansOf(env);
    this.load();
  }
}
/** Who is told of holds; a test sets them before it begins. */
export const webhooks: ((notice: Notice, id: string) => Promise<void>)[] = [];
export const alerts: object[] = [];

export class ApprovalObject extends ApprovalBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Bindings) {
    super(state);
    const directory = () => approvalsOf(env.DIRECTORY);
    this.means = {
      now: () => Date.now() + clock.ahead,
      tell: (row) => directory().tellApproval(row),
      forget: (approval) => directory().forgetApproval(approval),
      breakGlass: ["oncall"],
      webhooks: webhooks.length,
      notify: async (target, notice, id) => {
        const told = webhooks[target];
        if (told) await told(notice, id);
      },
      alert: (code, facts) => void alerts.push({ code, ...facts }),
    } satisfies ApprovalMeans;
  }
}
export default {};
