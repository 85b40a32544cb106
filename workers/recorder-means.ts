/** What the recorder's objects work with, made from its bindings once. */
import { principalKey } from "#durable/format/principal.ts";
import type { Means } from "#durable/means.ts";
import { toHex } from "#durable/proof/bytes.ts";
import { subtleSigner } from "#durable/proof/dsse.ts";
import { type LogSigner, logKeys } from "#durable/proof/log/checkpoint.ts";
import { readVkey } from "#durable/proof/log/note.ts";
import { readLogPems } from "#durable/proof/log/trust.ts";
import { readCertificates } from "#durable/proof/timestamp/certificate.ts";
import { Crowd } from "#durable/session/crowd.ts";
import { directoryArchive } from "#durable/store/directory-archive.ts";
import { DirectoryKeys } from "#durable/store/keys/directory-keys.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";
import { S3Keys } from "#durable/store/keys/s3-keys.ts";
import { tsaClient } from "#durable/store/log/tsa.ts";
import { type Witness, witnessClient } from "#durable/store/log/witness.ts";
import { directoryProbe } from "#durable/store/probe/directory-probe.ts";
import { s3Probe } from "#durable/store/probe/s3-probe.ts";
import { s3Archive } from "#durable/store/s3-archive.ts";
import {
  budgetOf,
  directoryOf,
  journalOf,
  ledgerName,
  ledgerOf,
  ledgerPlace,
  sessionOf,
} from "#durable/stubs.ts";
import type { RecorderSettings } from "#workers/contract/settings.ts";
import { type Env, type LogBindings, recorderEnv } from "./env.ts";
import { Meter } from "./recorder/meter.ts";

const made = new WeakMap<Env, Means>();

export function recorderMeans(env: Env): Means {
  const known = made.get(env);
  if (known) return known;
  const means = makeMeans(env);
  made.set(env, means);
  return means;
}

function makeMeans(raw: Env): Means {
  const env = recorderEnv(raw);
  const { settings } = env;
  const current = () => ledgerOf(env.ledger, ledgerName(originsOf(settings)));
  return {
    limits: settings,
    ...storeOf(env),
    encryptTo: settings.encryptTo,
    ...keysOf(env),
    sign: async (bytes) => new Uint8Array(await subtleSigner(env.sealKey)(bytes)),
    sealPub: env.sealPub,
    log: signerOf(settings.origin, env.log()),
    shard: "",
    witnesses: { all: settings.witnesses.map((each) => witnessOf(env, each)), threshold: settings.quorum },
    ...tsaOf(env),
    pseudonym: async (text) => {
      const digest = await crypto.subtle.sign("HMAC", env.pseudonymKey, new TextEncoder().encode(text));
      return toHex(new Uint8Array(digest));
    },
    origin: settings.origin,
    build: settings.build,
    config: settings.config,
    crowd: new Crowd(),
    journal: {
      append: (session, batch) => journalOf(env.journal).append(session, batch),
      batches: (session) => journalOf(env.journal).batches(session),
      forget: (session, below) => journalOf(env.journal).forget(session, below),
      drop: (session, from) => journalOf(env.journal).drop(session, from),
      rest: () => journalOf(env.journal).rest(),
    },
    ledger: {
      append: (session, n, head) => current().append(session, n, head),
      attest: (key, attestation) => current().attest(key, attestation),
      policy: (set, session) => current().policy(set, session),
      publish: () => current().publish(),
      stored: (session, n) => current().stored(session, n),
      bundle: (index) => current().bundle(index),
      newest: () => current().newest(),
    },
    directory: {
      resolve: (key, opening) => directoryOf(env.directory).resolve(key, opening),
      find: (session) => directoryOf(env.directory).find(session),
      list: (of) => directoryOf(env.directory).list(of),
      erase: (session, asked) => directoryOf(env.directory).erase(session, asked),
      legalHold: (session, state, asked) => directoryOf(env.directory).legalHold(session, state, asked),
      tell: (view) => directoryOf(env.directory).tell(view),
    },
    wake: async (session) => (await sessionOf(env.sessions, session).view()) !== undefined,
    now: () => Date.now(),
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
  };
}

const originsOf = ({ previousOrigins, origin }: RecorderSettings): readonly string[] => [
  ...previousOrigins,
  origin,
];

/** Of the ledger that has a name: of the newest log, or of one that it goes on for. */
export function ledgerMeans(raw: Env, name: string): Means {
  const env = recorderEnv(raw);
  const { settings } = env;
  const { shard, before, after } = ledgerPlace(originsOf(settings), name);
  const means = recorderMeans(raw);
  const own = { shard, predecessor: before === undefined ? undefined : ledgerOf(env.ledger, before) };
  if (after === 0) return { ...means, ...own };
  // Of a log that has ended nothing is signed: only the one before the newest may still have to.
  const origin = originsOf(settings).at(-1 - after) ?? "";
  return { ...means, ...own, log: signerOf(origin, env.previousLog()), prober: undefined };
}

function signerOf(origin: string, { ed25519, mlDsa, ed25519Pub, mlDsaPub }: LogBindings): LogSigner {
  const raw = readLogPems(ed25519Pub, mlDsaPub);
  return {
    keys: logKeys(origin, raw.ed25519, raw.mlDsa),
    ed25519: async (bytes) => new Uint8Array(await crypto.subtle.sign("Ed25519", ed25519, bytes)),
    mlDsa: async (bytes) => new Uint8Array(await crypto.subtle.sign("ML-DSA-44", mlDsa, bytes)),
  };
}

/** A hung witness costs a round so much, and then is left alone: checkpoints go on without it. */
const WITNESS_TIMEOUT_MS = 5_000;
const WITNESS_REST_MS = 60_000;

function witnessOf(
  env: ReturnType<typeof recorderEnv>,
  { vkey, url, binding }: RecorderSettings["witnesses"][number],
): Witness {
  const key = readVkey(vkey);
  if (typeof key === "string") throw new Error(`${binding}: ${key}`);
  const fetcher = env.witness(binding);
  return witnessClient({
    key,
    url,
    fetch: (to, init) => fetcher.fetch(to, init),
    now: () => Date.now(),
    timeoutMs: WITNESS_TIMEOUT_MS,
    restMs: WITNESS_REST_MS,
  });
}

/** All timestamps of a checkpoint and its seals cost a round so much; then the authority is left alone. */
const TSA_TIMEOUT_MS = 5_000;
const TSA_REST_MS = 60_000;

function tsaOf(env: ReturnType<typeof recorderEnv>): Pick<Means, "tsa"> {
  const { tsa } = env.settings;
  if (!tsa) return {};
  const chain = tsa.chain === undefined ? [] : readCertificates(tsa.chain);
  if (typeof chain === "string") throw new Error(`TSA: ${chain}`);
  const fetcher = env.tsa();
  return {
    tsa: tsaClient({
      url: tsa.url,
      chain,
      fetch: (to, init) => fetcher.fetch(to, init),
      now: () => Date.now(),
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
      timeoutMs: TSA_TIMEOUT_MS,
      restMs: TSA_REST_MS,
    }),
  };
}

function keysOf(env: ReturnType<typeof recorderEnv>): { readonly keys?: KeyStore } {
  const { keys } = env.settings;
  if (!keys) return {};
  const timeoutMs = 30_000;
  switch (keys.kind) {
    case "directory": {
      const directory = env.keysDirectory();
      return { keys: new DirectoryKeys({ fetch: (url, init) => directory.fetch(url, init), timeoutMs }) };
    }
    case "s3":
      return { keys: new S3Keys({ ...keys, ...env.keysKeys(), timeoutMs }) };
  }
}

/** A probe takes some fourteen calls. */
const PROBE_MS = 120_000;

function storeOf(env: ReturnType<typeof recorderEnv>): Pick<Means, "archive" | "prober"> {
  const { archive } = env.settings;
  const { retentionDays } = archive;
  if (archive.kind === "directory") {
    const store = directoryArchive({ fetch: (url, init) => fetch(url, init), retentionDays });
    return { archive: store, prober: directoryProbe(store) };
  }
  const place = { ...archive, ...env.archiveKeys(), now: () => Date.now() };
  return {
    archive: s3Archive({ ...place, timeoutMs: 60_000 }),
    prober: s3Probe({ ...place, timeoutMs: PROBE_MS }),
  };
}

const meters = new WeakMap<Env, Meter>();

/** The recorder's one meter. */
export function meterOf(env: Env): Meter {
  const known = meters.get(env);
  if (known) return known;
  const { settings, budgets } = recorderEnv(env);
  const meter = new Meter(settings.budgets, (principal) => budgetOf(budgets, principalKey(principal)));
  meters.set(env, meter);
  return meter;
}
