/** A token by the device flow (RFC 8628): a person signs in at the provider with any browser, and this program waits. */
import * as v from "valibot";
import { reason } from "#scripts/config/finding.ts";

export type Client = {
  /** As the provider says it of itself. */
  readonly issuer: string;
  readonly id: string;
  /** Separated by spaces. */
  readonly scope: string;
  /** What the token is to be for, where the provider wants to be told (RFC 8707). */
  readonly resource?: string;
};

/** What a person has to do; `whole` has the code in it. */
export type Prompt = { readonly url: string; readonly code: string; readonly whole?: string };

export type Clock = { readonly now: () => number; readonly sleep: (ms: number) => Promise<void> };

const TIMEOUT_MS = 15_000;
/** A provider may not keep us for longer, whatever it says. */
const LONGEST_MS = 30 * 60_000;

const seconds = v.pipe(v.number(), v.minValue(0), v.maxValue(86_400));
const Discovery = v.object({
  issuer: v.string(),
  device_authorization_endpoint: v.optional(v.string()),
  token_endpoint: v.string(),
});
const Started = v.object({
  device_code: v.string(),
  user_code: v.string(),
  verification_uri: v.string(),
  verification_uri_complete: v.optional(v.string()),
  expires_in: seconds,
  interval: v.optional(seconds, 5),
});
const Given = v.object({ access_token: v.string() });
const Refused = v.object({ error: v.string(), error_description: v.optional(v.string()) });

const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";

/** Throws, in one sentence, when there is none: the provider has no such flow, somebody said no, or nobody came in time. */
export async function tokenByDevice(
  client: Client,
  show: (prompt: Prompt) => void,
  { now, sleep }: Clock,
): Promise<string> {
  const at = await discover(client.issuer);
  const { resource } = client;
  const fields = { client_id: client.id, scope: client.scope, ...(resource !== undefined && { resource }) };
  const started = understood(Started, await granted(at.device, fields), at.device);
  const end = now() + Math.min(started.expires_in * 1000, LONGEST_MS);
  const whole = started.verification_uri_complete;
  show({
    url: shown(started.verification_uri),
    code: started.user_code,
    ...(whole !== undefined && { whole: shown(whole) }),
  });
  const asking = {
    grant_type: DEVICE,
    client_id: client.id,
    device_code: started.device_code,
    ...(resource !== undefined && { resource }),
  };
  let pause = Math.max(started.interval, 1) * 1000;
  for (;;) {
    if (now() + pause > end) throw new Error("nobody signed in in time: try again");
    await sleep(pause);
    const answer = await post(at.token, asking).catch((thrown: unknown) => thrown as Error);
    // RFC 8628 §3.5: a connection that fails is tried again, more slowly.
    if (answer instanceof Error) pause *= 2;
    else if (answer.ok) return understood(Given, answer.value, at.token).access_token;
    else {
      const { error, error_description: why } = understood(Refused, answer.value, at.token);
      if (error === "slow_down") pause += 5000;
      else if (error !== "authorization_pending")
        throw new Error(`${client.issuer} gives no token: ${why ?? error}`);
    }
  }
}

async function discover(issuer: string): Promise<{ readonly device: URL; readonly token: URL }> {
  const url = new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  const answer = await fetched(url, {});
  if (!answer.ok) throw new Error(`${url.href} says nothing: is ${issuer} an OpenID Connect provider?`);
  const said = understood(Discovery, answer.value, url);
  // OpenID Connect Discovery §4.3: to the letter.
  if (said.issuer !== issuer) throw new Error(`${issuer} calls itself ${said.issuer}: name it so`);
  if (said.device_authorization_endpoint === undefined)
    throw new Error(`${issuer} has no device flow: get a token by another way, for steno token keep`);
  return {
    device: endpoint(said.device_authorization_endpoint, url),
    token: endpoint(said.token_endpoint, url),
  };
}

/** Not in clear where the provider itself is not. */
function endpoint(text: string, from: URL): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && from.protocol === "http:")) return url;
  throw new Error(`${from.href} names ${text}, which is no address to send anything to`);
}

/** Where a person is led is for a browser, and nothing else that a terminal may open. */
function shown(text: string): string {
  const { protocol } = URL.canParse(text) ? new URL(text) : { protocol: "" };
  if (protocol === "https:" || protocol === "http:") return text;
  throw new Error("the provider leads to no web page");
}

type Answer = { readonly ok: boolean; readonly value: unknown };

const post = (url: URL, fields: Readonly<Record<string, string>>): Promise<Answer> =>
  fetched(url, { method: "POST", body: new URLSearchParams(fields) });

async function granted(url: URL, fields: Readonly<Record<string, string>>): Promise<unknown> {
  const { ok, value } = await post(url, fields);
  if (ok) return value;
  const refused = v.safeParse(Refused, value);
  const why = refused.success ? (refused.output.error_description ?? refused.output.error) : "no reason";
  throw new Error(`${url.origin} does not begin the device flow: ${why}`);
}

async function fetched(url: URL, init: RequestInit): Promise<Answer> {
  let text: string;
  let ok: boolean;
  try {
    const headers = { accept: "application/json", "user-agent": "steno-cli" };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { ...init, headers, redirect: "error", signal });
    ({ ok } = response);
    text = await response.text();
  } catch (cause) {
    throw new Error(`${url.origin} cannot be reached`, { cause });
  }
  try {
    return { ok, value: JSON.parse(text) };
  } catch (cause) {
    throw new Error(`${url.href} answers no JSON (${reason(cause)})`, { cause });
  }
}

function understood<const S extends v.GenericSchema>(schema: S, value: unknown, url: URL): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`${url.href} is not understood: ${v.getDotPath(issue) ?? "it"} ${issue.message}`);
}
