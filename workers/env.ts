/** The only file that reads `env`. A missing binding stops the service with the binding's name. */
import * as v from "valibot";
import type { Analyzer } from "#workers/contract/analyzer.ts";
import type { Evaluator, Scope } from "#workers/contract/evaluator.ts";
import type { Issuers } from "#workers/contract/issuers.ts";
import type {
  Append,
  Custody,
  Decide,
  Hold,
  Kill,
  Pins,
  Read,
  Spool,
  Standing,
} from "#workers/contract/recorder.ts";
import {
  ConsoleSettings,
  EgressSettings,
  EvaluatorSettings,
  GatewaySettings,
  RecorderSettings,
} from "#workers/contract/settings.ts";

/** What workerd hands in; nothing is assumed of it. */
export type Env = Readonly<Record<string, unknown>>;

/** An isolate is one service, and its bindings never change: they are parsed at the first request. */
function once<T>(read: (env: Env) => T): (env: Env) => T {
  let known: { readonly value: T } | undefined;
  return (env) => {
    known ??= { value: read(env) };
    return known.value;
  };
}

export const gatewayEnv = once((env) => {
  return {
    settings: parse(GatewaySettings, env, "GATEWAY_SETTINGS"),
    evaluator: binding<Evaluator>(env, "EVALUATOR"),
    egress: binding<Fetcher>(env, "EGRESS"),
    issuers: binding<Issuers>(env, "ISSUERS"),
    analyzer: binding<Analyzer>(env, "ANALYZER"),
    append: binding<Append>(env, "APPEND"),
    hold: binding<Hold>(env, "HOLD"),
    pins: binding<Pins>(env, "PINS"),
  };
});

export const evaluatorEnv = once((env) => {
  return {
    settings: parse(EvaluatorSettings, env, "EVALUATOR_SETTINGS"),
    policies: binding<Fetcher>(env, "POLICIES"),
  };
});

export const egressEnv = once((env) => {
  return {
    settings: parse(EgressSettings, env, "EGRESS_SETTINGS"),
    clearanceKey: binding<CryptoKey>(env, "CLEARANCE_KEY"),
    spool: binding<Spool>(env, "SPOOL"),
    upstream: (name: string) => binding<Fetcher>(env, name),
    /** Absent without an analyzer. */
    presidio: () => binding<Fetcher>(env, "PRESIDIO"),
    secret: (name: string) => text(env, name),
  };
});

export const recorderEnv = once((env) => {
  return {
    settings: parse(RecorderSettings, env, "RECORDER_SETTINGS"),
    sessions: binding<DurableObjectNamespace>(env, "SESSION"),
    journal: binding<DurableObjectNamespace>(env, "JOURNAL"),
    ledger: binding<DurableObjectNamespace>(env, "LEDGER"),
    directory: binding<DurableObjectNamespace>(env, "DIRECTORY"),
    budgets: binding<DurableObjectNamespace>(env, "BUDGET"),
    approvals: binding<DurableObjectNamespace>(env, "APPROVAL"),
    sealKey: binding<CryptoKey>(env, "SEAL_KEY"),
    /** PEM, SubjectPublicKeyInfo. */
    sealPub: text(env, "SEAL_PUB"),
    log: () => logOf(env, "LOG"),
    /** Of the log before, which may have to end; there is one where the settings name it. */
    previousLog: () => logOf(env, "PREVIOUS_LOG"),
    clearanceKey: binding<CryptoKey>(env, "CLEARANCE_KEY"),
    pseudonymKey: binding<CryptoKey>(env, "PSEUDONYM_KEY"),
    witness: (name: string) => binding<Fetcher>(env, name),
    webhook: (name: string) => binding<Fetcher>(env, name),
    secret: (name: string) => text(env, name),
    /** Absent without a timestamp authority. */
    tsa: () => binding<Fetcher>(env, "TSA"),
    /** Absent with a directory archive. */
    archiveKeys: () => ({
      accessKeyId: text(env, "ARCHIVE_ACCESS_KEY"),
      secretAccessKey: text(env, "ARCHIVE_SECRET_KEY"),
    }),
    /** Of the bucket of session keys; absent without one. */
    keysKeys: () => ({
      accessKeyId: text(env, "KEYS_ACCESS_KEY"),
      secretAccessKey: text(env, "KEYS_SECRET_KEY"),
    }),
    /** Reaches the directory of session keys; absent without one. */
    keysDirectory: () => binding<Fetcher>(env, "KEYS"),
  };
});

/** A log's keys; the public halves in PEM, SubjectPublicKeyInfo. */
export type LogBindings = {
  readonly ed25519: CryptoKey;
  readonly mlDsa: CryptoKey;
  readonly ed25519Pub: string;
  readonly mlDsaPub: string;
};

const logOf = (env: Env, name: string): LogBindings => ({
  ed25519: binding<CryptoKey>(env, `${name}_KEY`),
  mlDsa: binding<CryptoKey>(env, `${name}_PQ_KEY`),
  ed25519Pub: text(env, `${name}_PUB`),
  mlDsaPub: text(env, `${name}_PQ_PUB`),
});

export const consoleEnv = once((env) => {
  return {
    settings: parse(ConsoleSettings, env, "CONSOLE_SETTINGS"),
    read: binding<Read>(env, "READ"),
    kill: binding<Kill>(env, "KILL"),
    custody: binding<Custody>(env, "CUSTODY"),
    decide: binding<Decide>(env, "DECIDE"),
    standing: binding<Standing>(env, "STANDING"),
    scope: binding<Scope>(env, "SCOPE"),
    issuers: binding<Issuers>(env, "ISSUERS"),
  };
});

function parse<const S extends v.GenericSchema>(schema: S, env: Env, name: string): v.InferOutput<S> {
  return v.parse(schema, binding<object>(env, name));
}

function binding<T>(env: Env, name: string): T {
  const value = env[name];
  if (value === undefined || value === null) throw new Error(`binding ${name} is missing`);
  return value as T;
}

function text(env: Env, name: string): string {
  const value = binding<unknown>(env, name);
  if (typeof value !== "string") throw new Error(`binding ${name} is not text`);
  return value;
}
