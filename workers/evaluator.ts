/** The evaluator: holds the policies and nothing else, and answers the gateway's questions. */
import { WorkerEntrypoint } from "cloudflare:workers";
import * as cedar from "@cedar-policy/cedar-wasm/web";
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Answer } from "#durable/format/tape.ts";
import type { Evaluator as Contract, Scope as ScopeContract, Verdict } from "#workers/contract/evaluator.ts";
import { type Env, evaluatorEnv } from "#workers/env.ts";
import { type Cedar, guarded } from "#workers/policy/cedar.ts";
import type { Decide } from "#workers/policy/decide.ts";
import { PoliciesInForce, type PolicyEvent } from "#workers/policy/load.ts";
import { Scopes, scopeErrors } from "#workers/policy/scopes.ts";
import { isPolicyName, type PolicyFile } from "#workers/policy/set/source.ts";

/** Long enough for a writer to write on, short enough for the first request to wait. */
const PAUSE_MS = 100;
/** A disk that does not answer in this time counts as unreadable. */
const DISK_MS = 5000;

// What outlives a request is plain values: a promise of one request must not be awaited by another.
let engine: Cedar | undefined;
let inForce: PoliciesInForce | undefined;

let scopes: Scopes | undefined;

export class Evaluator extends WorkerEntrypoint<Env> implements Contract {
  async decide(
    principal: Principal,
    questions: readonly Question[],
    facts: Facts,
  ): Promise<Answer<Decision>> {
    return this.#asked((decide) => decide(principal, questions, facts));
  }

  async verdicts(
    principal: Principal,
    questions: readonly Question[],
    facts: Facts,
  ): Promise<Answer<readonly Verdict[]>> {
    return this.#asked((decide) =>
      questions.map((one) => {
        const { verdict, policies } = decide(principal, [one], facts);
        return { verdict, policies };
      }),
    );
  }

  async #asked<T>(ask: (decide: Decide) => T): Promise<Answer<T>> {
    const { settings, policies } = evaluatorEnv(this.env);
    engine ??= await start();
    inForce ??= new PoliciesInForce(settings.pollSeconds * 1000);
    const around = {
      cedar: engine,
      read: () => readDisk(policies),
      now: () => Date.now(),
      pause: () => new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS)),
      report,
    };
    const freshness = inForce.freshness(Date.now());
    if (freshness === "overdue") await inForce.check(around);
    if (freshness === "due") this.ctx.waitUntil(inForce.check(around));
    if (!inForce.decide) return unavailable("no valid policies are loaded");
    try {
      return { ok: ask(inForce.decide) };
    } catch (cause) {
      return stopped(cause);
    }
  }

  async covering(
    texts: readonly string[],
    principal: Principal,
    questions: readonly Question[],
    facts: Facts,
  ): Promise<Answer<readonly number[]>> {
    engine ??= await start();
    scopes ??= new Scopes(engine);
    try {
      return { ok: scopes.covering(texts, principal, questions, facts) };
    } catch (cause) {
      return stopped(cause);
    }
  }
}

export class Scope extends WorkerEntrypoint<Env> implements ScopeContract {
  async check(scope: string): Promise<Answer<null>> {
    engine ??= await start();
    try {
      const [first] = scopeErrors(engine, scope);
      if (!first) return { ok: null };
      const { line, message, hint } = first;
      const where = line === undefined ? "" : `line ${line}: `;
      return {
        no: {
          code: "malformed",
          message: `scope: ${where}${message}${hint === undefined ? "" : ` (${hint})`}`,
        },
      };
    } catch (cause) {
      return stopped(cause);
    }
  }
}

function stopped(cause: unknown): ReturnType<typeof unavailable> {
  console.error(JSON.stringify({ code: "policy_engine_stopped", cause: String(cause) }));
  return unavailable("the policy engine has stopped");
}

/** The WebAssembly module stands beside the bundle; only this service's configuration names it. */
async function start(): Promise<Cedar> {
  const { default: module } = await import("./cedar.wasm");
  cedar.initSync({ module });
  return guarded(cedar);
}

const unavailable = (message: string) => ({ no: { code: "policy_unavailable", message } }) as const;

function report(event: PolicyEvent): void {
  const line = JSON.stringify(event);
  if (event.code === "policy_loaded") console.info(line);
  else console.error(line);
}

/** Reads all policy files through workerd's disk service: a listing as JSON, then each file. */
async function readDisk(disk: Fetcher): Promise<PolicyFile[]> {
  const signal = AbortSignal.timeout(DISK_MS);
  const get = async (path: string): Promise<Response> => {
    const response = await disk.fetch(`http://policies/${path}`, { signal });
    if (!response.ok) throw new Error(`the policy directory answers ${response.status} for /${path}`);
    return response;
  };
  const listing: { name: string; type: string }[] = await (await get("")).json();
  const names = listing.filter(({ name, type }) => isPolicyName(name) && type !== "directory");
  return Promise.all(
    names.map(async ({ name }) => ({ name, bytes: await (await get(encodeURIComponent(name))).bytes() })),
  );
}
