/** A worker that says who a request is from: identity as the gateway and the console host it, with egress beside it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { Refusal } from "#durable/format/refusal.ts";
import type { Answer } from "#durable/format/tape.ts";
import type { Issuer, Issuers } from "#workers/contract/issuers.ts";
import { carriedToken } from "#workers/identity/carrier.ts";
import { type Fetching, fetchJwks } from "#workers/identity/issuer-keys.ts";
import { type Authenticate, makeAuthenticator } from "#workers/identity/token.ts";

type Env = { readonly ISSUER: Issuer; readonly IDP: Fetching; readonly KEYS: Issuers };

export class Keys extends WorkerEntrypoint<Env> {
  async jwks(): Promise<Answer<string>> {
    try {
      return { ok: await fetchJwks(this.env.IDP, this.env.ISSUER.issuer) };
    } catch (thrown) {
      return { no: { code: "identity_unavailable", message: String(thrown) } };
    }
  }
}

const made = new Map<string, Authenticate>();
/** How far this worker's clock is ahead: tests do not wait half a minute. */
let ahead = 0;

export default {
  /** `GET /agent` or `/console` with a token: the principal, or the refusal and its cause. `?pass=` milliseconds. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    ahead += Number(searchParams.get("pass") ?? 0);
    const audience = pathname === "/console" ? "console" : "agent";
    let authenticate = made.get(audience);
    if (!authenticate) {
      authenticate = makeAuthenticator({
        issuers: [env.ISSUER],
        keys: env.KEYS,
        now: () => Date.now() + ahead,
        audience,
      });
      made.set(audience, authenticate);
    }
    try {
      return Response.json(await authenticate(carriedToken(request.headers)));
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      return Response.json({ code: thrown.code, message: thrown.message, cause: String(thrown.cause) });
    }
  },
};
