/**
 * The Worker of `npm run dev`: the bundle's own classes, given what Wrangler has no words for. It runs in workerd, beside
 * the bundle in `dist/`, and is no part of it: what `steno serve` runs has none of this.
 */
import type { Given, GivenKey } from "./given.ts";

type Bindings = Readonly<Record<string, unknown>>;
type Class = new (ctx: unknown, env: Bindings) => object;
type Fetching = { fetch(request: Request): Promise<Response> };

// By a name that is not written as one: it is there when this file is, in the directory it was put into.
const load = (name: string): Promise<Bindings> => import(name);
const steno = (await load("./dist/main.js")) as Readonly<Record<string, Class>>;
const { env } = (await load("cloudflare:workers")) as { readonly env: Bindings };
const { connect } = await load("cloudflare:sockets");
const { endpoint, keys, texts, reaches } = JSON.parse(atob(String(env["STENO_DEV"]))) as Given;

// The recorder's network is its archive. Here all share one, so the archive's name is what tells.
const network = globalThis.fetch;
globalThis.fetch = (input, init) =>
  typeof input === "string" && input.startsWith("http://archive/")
    ? network(`${endpoint}${input.slice("http://archive".length)}`, init)
    : network(input, init);

const outside = { fetch: network.bind(globalThis), connect };
const POLICIES = {
  fetch: (url: string, init?: RequestInit) => network(`${endpoint}/policies${new URL(url).pathname}`, init),
};

const ALGORITHMS = {
  hmac: ["raw", { name: "HMAC", hash: "SHA-256" }],
  p256: ["pkcs8", { name: "ECDSA", namedCurve: "P-256" }],
  ed25519: ["pkcs8", { name: "Ed25519" }],
  "ml-dsa-44": ["pkcs8", { name: "ML-DSA-44" }],
} as const;

async function imported({ name, kind, usages, material }: GivenKey): Promise<[string, CryptoKey]> {
  const [format, algorithm] = ALGORITHMS[kind];
  const bytes = Uint8Array.from(atob(material), (letter) => letter.charCodeAt(0));
  return [name, await crypto.subtle.importKey(format, bytes, algorithm, false, [...usages])];
}

const added: Bindings = {
  ...Object.fromEntries(await Promise.all(keys.map(imported))),
  ...texts,
  ...Object.fromEntries(reaches.map((name) => [name, outside])),
  POLICIES,
};
let whole: Bindings | undefined;

function inDev(name: string): Class {
  const Base = steno[name];
  if (Base === undefined) throw new Error(`the bundle has no ${name}`);
  return class extends Base {
    constructor(ctx: unknown, wranglers: Bindings) {
      whole ??= { ...wranglers, ...added };
      super(ctx, whole);
    }
  };
}

export const Append = inDev("Append");
export const BudgetObject = inDev("BudgetObject");
export const Custody = inDev("Custody");
export const Hold = inDev("Hold");
export const Pins = inDev("Pins");
export const Decide = inDev("Decide");
export const Standing = inDev("Standing");
export const Scope = inDev("Scope");
export const ApprovalObject = inDev("ApprovalObject");
export const Console = inDev("Console");
export const DirectoryObject = inDev("DirectoryObject");
export const Egress = inDev("Egress");
export const Evaluator = inDev("Evaluator");
export const Gateway = inDev("Gateway");
export const IssuerKeys = inDev("IssuerKeys");
export const Analyzer = inDev("Analyzer");
export const JournalObject = inDev("JournalObject");
export const Kill = inDev("Kill");
export const LedgerObject = inDev("LedgerObject");
export const Read = inDev("Read");
export const SessionObject = inDev("SessionObject");
export const Spool = inDev("Spool");

/** Wrangler listens on one socket: the console's paths are found among the gateway's, which has none below `/api/`. */
export default {
  fetch(request: Request, wranglers: Bindings, ctx: unknown): Promise<Response> {
    const Front = new URL(request.url).pathname.startsWith("/api/") ? Console : Gateway;
    return (new Front(ctx, wranglers) as Fetching).fetch(request);
  },
};
