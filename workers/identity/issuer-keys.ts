/** An issuer's JWK set from the network. Used by egress, the only isolate that has one. */
import { Refusal } from "#durable/format/refusal.ts";

const SIZE_MAX = 1024 * 1024;
const TIMEOUT_MS = 10_000;

export type Fetching = { fetch(url: string, init?: RequestInit): Promise<Response> };

/**
 * The JWK set as text. With `jwksUri` from the configuration, `fetcher` reaches that; else `fetcher` reaches the
 * issuer, whose discovery document must name the issuer exactly and a `jwks_uri` on the issuer's own origin.
 * Throws `Refusal("identity_unavailable")` whose sentence is for the operator. No redirects, 1 MiB, 10 s in all.
 */
export async function fetchJwks(
  fetcher: Fetching,
  issuer: string,
  jwksUri?: string,
  timeoutMs = TIMEOUT_MS,
): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  const text = await read(fetcher, jwksUri ?? (await discover(fetcher, issuer, signal)), signal);
  const set = json(text, "the JWK set");
  if (!Array.isArray(set["keys"])) throw unusable(`the JWK set of ${issuer} has no array of keys`);
  return text;
}

/** OpenID Connect Discovery 1.0 §4. */
async function discover(fetcher: Fetching, issuer: string, signal: AbortSignal): Promise<string> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const document = json(await read(fetcher, url, signal), url);
  if (document["issuer"] !== issuer) {
    throw unusable(`${url} speaks for another issuer than identity.oidc.issuer "${issuer}"`);
  }
  const found = document["jwks_uri"];
  if (typeof found !== "string" || !URL.canParse(found)) throw unusable(`${url} has no usable jwks_uri`);
  if (new URL(found).origin !== new URL(issuer).origin) {
    throw unusable(
      `${url} points to keys on ${new URL(found).origin}: set identity.oidc.jwks_uri to allow that`,
    );
  }
  return found;
}

async function read(fetcher: Fetching, url: string, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetcher.fetch(url, {
      headers: { accept: "application/json" },
      redirect: "manual",
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw unusable(`${url} answered ${response.status || "with a redirect"}, not 200`);
    }
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(
      await readBounded(response, url, signal),
    );
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    throw unusable(signal.aborted ? `${url} took too long` : `${url} cannot be read`, cause);
  }
}

async function readBounded(response: Response, url: string, signal: AbortSignal): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array();
  // The signal ends the fetch, not in every runtime a body that stalls.
  const stop = () => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { value, done } = await reader.read();
    signal.throwIfAborted();
    if (done) break;
    size += value.byteLength;
    if (size > SIZE_MAX) {
      stop();
      throw unusable(`${url} is larger than 1 MiB`);
    }
    parts.push(value);
  }
  signal.removeEventListener("abort", stop);
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

function json(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unusable(`${what} is not JSON`, cause);
  }
  if (typeof value !== "object" || value === null) throw unusable(`${what} is not a JSON object`);
  return value as Readonly<Record<string, unknown>>;
}

const unusable = (sentence: string, cause?: unknown): Refusal =>
  new Refusal("identity_unavailable", sentence, cause === undefined ? {} : { cause });
