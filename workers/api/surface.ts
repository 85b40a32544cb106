/** What all JSON responses of ours share: an id, security headers, problems instead of stack traces. */
import type { Context, Hono, MiddlewareHandler } from "hono";
import { Refusal } from "#durable/format/refusal.ts";
import { problem } from "#workers/wire/problem.ts";

export type Variables = { instance: string };
export type App = Hono<{ Variables: Variables }>;

/** One structured line for the node's log. It gets causes and stacks; it never gets a token. */
export type Log = (line: Readonly<Record<string, unknown>>) => void;

export const consoleLog: Log = (line) => console.error(JSON.stringify(line));

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
} as const;

/** Prepares an app: names each request, sets the headers, and maps what is thrown. `realm` is for Bearer challenges. */
export function surface(app: App, options: { readonly realm: string; readonly log: Log }): void {
  app.use(named);
  app.notFound((context) =>
    problem(new Refusal("unknown_path", "there is nothing here"), context.get("instance")),
  );
  app.onError((thrown, context) => secured(answered(thrown, context, options)));
}

const named: MiddlewareHandler<{ Variables: Variables }> = async (context, next) => {
  context.set("instance", `urn:uuid:${crypto.randomUUID()}`);
  await next();
  secured(context.res);
};

function secured(response: Response): Response {
  for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
  return response;
}

function answered(
  thrown: unknown,
  context: Context<{ Variables: Variables }>,
  { realm, log }: { readonly realm: string; readonly log: Log },
): Response {
  const instance = context.get("instance");
  const { method, path } = context.req;
  if (!(thrown instanceof Refusal)) {
    log({ level: "error", event: "fault", instance, method, path, cause: told(thrown, withStack) });
    const sentence = `something went wrong inside the gateway; ask its operator for ${instance}`;
    return problem(new Refusal("fault", sentence), instance);
  }
  log({
    level: "info",
    event: "refused",
    instance,
    method,
    path,
    code: thrown.code,
    cause: told(thrown.cause, String),
  });
  const response = problem(thrown, instance);
  // RFC 9110 §15.5.2: a 401 says how to authenticate.
  if (thrown.code === "unauthenticated") response.headers.set("www-authenticate", `Bearer realm="${realm}"`);
  return response;
}

/** Errors and their causes. What else was thrown or attached, such as a token's claims, is not for a log. */
function told(cause: unknown, say: (error: Error) => string): string | undefined {
  if (!(cause instanceof Error)) return typeof cause === "string" ? cause : undefined;
  const deeper = told(cause.cause, say);
  return deeper === undefined ? say(cause) : `${say(cause)}\ncaused by ${deeper}`;
}

const withStack = (error: Error): string => error.stack ?? String(error);
