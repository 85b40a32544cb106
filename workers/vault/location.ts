/** Redirects of an upstream, led through the gateway again where they stay below the connection. */

/** Fields that hold one URI-reference about the upstream's own space (RFC 9110 §10.2.2, §8.7). */
const FIELDS = ["location", "content-location"] as const;

/**
 * The response's headers with those references rewritten. `asked` is the URL that was asked, `base` the connection's
 * base URL without its trailing slash, `mount` the connection's path at the gateway: `/http/tickets`. A reference that
 * leaves the connection stays as it is: whoever follows it does so without the gateway, and without its credential.
 */
export function mounted(headers: Headers, asked: string, base: string, mount: string): Headers {
  const told = new Headers(headers);
  for (const name of FIELDS) {
    const value = headers.get(name);
    const rewritten = value === null ? undefined : below(value, asked, base, mount);
    if (rewritten !== undefined) told.set(name, rewritten);
  }
  return told;
}

function below(reference: string, asked: string, base: string, mount: string): string | undefined {
  if (!URL.canParse(reference, asked)) return undefined;
  const target = new URL(reference, asked);
  const home = new URL(base);
  const root = home.pathname.replace(/\/$/, "");
  if (target.origin !== home.origin) return undefined;
  if (target.pathname !== root && !target.pathname.startsWith(`${root}/`)) return target.href;
  const path = target.pathname.slice(root.length) || "/";
  return `${mount}${path}${target.search}${target.hash}`;
}
