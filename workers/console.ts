/** The console service: the auditors' socket. It holds no credential, no signing key and no archive key. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { consoleApi } from "#workers/api/console-api.ts";
import type { App } from "#workers/api/surface.ts";
import { makeAuthenticator } from "#workers/identity/token.ts";
import { consoleEnv, type Env } from "./env.ts";

/** One for the isolate: it remembers keys and verified tokens. `env` is the same for every request. */
let app: App | undefined;

export class Console extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    app ??= consoleApp(this.env);
    return app.fetch(request);
  }
}

function consoleApp(env: Env): App {
  const { settings, read, kill, custody, decide, standing, scope, issuers } = consoleEnv(env);
  return consoleApi({
    read,
    kill,
    custody,
    decide,
    standing,
    scope,
    now: () => Date.now(),
    loginSeconds: settings.loginSeconds,
    standingSeconds: settings.standingSeconds,
    roles: settings.roles,
    authenticate: makeAuthenticator({
      issuers: settings.issuers,
      keys: issuers,
      now: () => Date.now(),
      audience: "console",
    }),
  });
}
