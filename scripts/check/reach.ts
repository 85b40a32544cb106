/** Whether the servers of a configuration answer, seen from this program: workerd's own network is the same. */
import { connect } from "node:net";
import * as v from "valibot";
import { error, type Finding, ok, reason, warning } from "#scripts/config/finding.ts";
import type { OidcSettings, Settings } from "#scripts/config/settings.ts";
import { clock } from "./clock.ts";

const TIMEOUT_MS = 5000;

export async function upstreams({ connections }: Settings): Promise<Finding[]> {
  return Promise.all(
    connections
      .filter(({ program }) => !program)
      .map(async ({ name, upstream }) => {
        if (!upstream) return ok(`hooks ${name}`, "are answered here: they have no upstream");
        const at = `upstream ${name}`;
        try {
          if (upstream.scheme === "git") {
            await touch(upstream.host.replaceAll(/[[\]]/g, ""), upstream.port);
            return ok(at, `${upstream.base} accepts connections`);
          }
          const { status } = await get(`${upstream.base}/`);
          return ok(at, `${upstream.base} answers ${status}`);
        } catch (thrown) {
          return error(at, `${upstream.base} does not answer: ${reason(thrown)}`);
        }
      }),
  );
}

export async function issuers({ issuers, connections }: Settings): Promise<Finding[]> {
  if (issuers.length === 0)
    return [warning("identity", "no issuers are configured: every request is refused")];
  const mcp = connections.some(({ kind }) => kind === "mcp");
  return (await Promise.all(issuers.map((issuer) => one(issuer, mcp)))).flat();
}

/** What clients of MCP need of an issuer to sign in by themselves, at `/mcp/`; with a token of their own they need none of it. */
function signIn(at: string, discovery: v.InferOutput<typeof Discovery>): Finding[] {
  const { registration_endpoint: registration, code_challenge_methods_supported: pkce = [] } = discovery;
  if (!pkce.includes("S256"))
    return [warning(at, "does not say that it takes PKCE with S256: MCP clients will not sign in there")];
  if (registration === undefined)
    return [
      warning(
        at,
        "registers no clients (RFC 7591): give MCP clients a client id of it, or tokens for /mcp-token/",
      ),
    ];
  return [ok(at, `MCP clients can register at ${registration}`)];
}

const Discovery = v.object({
  issuer: v.string(),
  jwks_uri: v.string(),
  registration_endpoint: v.optional(v.string()),
  code_challenge_methods_supported: v.optional(v.array(v.string())),
});
const KeySet = v.object({ keys: v.array(v.record(v.string(), v.unknown())) });

async function one({ issuer, jwksUri }: OidcSettings, mcp: boolean): Promise<Finding[]> {
  const at = `issuer ${issuer}`;
  const findings: Finding[] = [];
  try {
    let from = jwksUri;
    if (from === undefined) {
      // OpenID Connect Discovery 1.0 §4: a trailing slash of the issuer is removed before the path is added.
      const response = await get(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
      findings.push(...clock(at, response.headers, Date.now()));
      if (response.status !== 200) return [...findings, error(at, `discovery answers ${response.status}`)];
      const discovery = v.parse(Discovery, await response.json());
      if (discovery.issuer !== issuer)
        return [...findings, error(at, `discovery says it is ${discovery.issuer}`)];
      if (mcp) findings.push(...signIn(at, discovery));
      from = discovery.jwks_uri;
      if (new URL(from).origin !== new URL(issuer).origin) {
        return [...findings, error(at, `its keys are at another origin: set jwks_uri = "${from}"`)];
      }
    }
    const response = await get(from);
    if (response.status !== 200) return [...findings, error(at, `${from} answers ${response.status}`)];
    const { keys } = v.parse(KeySet, await response.json());
    if (keys.length === 0) return [...findings, error(at, `${from} holds no keys`)];
    return [...findings, ok(at, `${keys.length} keys at ${from}`)];
  } catch (thrown) {
    return [...findings, error(at, `does not answer as an issuer: ${reason(thrown)}`)];
  }
}

export const get = (url: string): Promise<Response> =>
  fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });

function touch(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("timeout", () => socket.destroy(new Error(`no connection after ${TIMEOUT_MS / 1000} s`)));
    socket.once("error", reject);
  });
}
