#!/usr/bin/env node
/** The command line: a table of commands, each loaded only when it is called. Exit 0 none, 1 findings, 2 could not run. */
import { UsageFault } from "./cli/flags.ts";
import { reason } from "./config/finding.ts";
import { nearest } from "./config/nearest.ts";

type Command = {
  readonly usage: string | readonly string[];
  readonly does: string;
  load(): Promise<(args: string[]) => Promise<number>>;
};

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    usage: "serve [--config steno.toml] [--print-config]",
    does: "run the gateway, the recorder and the console until stopped",
    load: async () => (await import("./serve/serve.ts")).serve,
  },
  check: {
    usage: "check [--config steno.toml] [--json]",
    does: "validate config, policies, keys, reachability and clock; one finding a line",
    load: async () => (await import("./check/check.ts")).check,
  },
  session: {
    usage: "session list|show|end|kill [ID] [--mine] [--gateway URL] [--console URL] [--json]",
    does: "live and sealed sessions, of everybody or with --mine one's own",
    load: async () => (await import("./cli/session.ts")).session,
  },
  fetch: {
    usage: "fetch ID [-o DIR] [--identity FILE] [--config steno.toml] [--json]",
    does: "copy a sealed session from the archive; with an auditor's identity also what it says in clear",
    load: async () => (await import("./cli/fetch.ts")).fetchSession,
  },
  verify: {
    usage:
      "verify PATH|s3://BUCKET/PREFIX [--session ID|--day DATE] [--key seal.pub] [--vkey FILE] [--policy FILE] [--tsa-cert FILE] [--origin HOST] [--since FILE] [--identity FILE] [--keys DIR|s3://BUCKET/PREFIX] [--endpoint URL] [--region NAME] [--json]",
    does: "verify an archive, a day, a session or one head; no gateway needed, and for a PATH no network",
    load: async () => (await import("./cli/verify.ts")).verify,
  },
  disclose: {
    usage:
      "disclose PATH --frame N[,M…] [--session ID] [-o DIR] [--identity FILE] [--keys DIR|s3://BUCKET/PREFIX] [--endpoint URL] [--region NAME] [--json]",
    does: "give away single frames of a sealed session, with proofs that steno verify and other tools verify",
    load: async () => (await import("./disclose/disclose.ts")).disclose,
  },
  witness: {
    usage: "witness --name NAME --key FILE --state DIR --log VKEY… [--pq-key FILE] [--listen 127.0.0.1:8790]",
    does: "cosign that logs only grow; makes its key at the first start",
    load: async () => (await import("./witness/witness.ts")).witness,
  },
  export: {
    usage:
      "export PATH|s3://BUCKET/PREFIX --html|--har|--git-bundle [--session ID] [-o PATH] [--endpoint URL] [--region NAME] [--json]",
    does: "one session as a page that verifies and replays itself without a network, as a HAR, or its pushes as bundles",
    load: async () => (await import("./export/export.ts")).exportSession,
  },
  policy: {
    usage: [
      "policy validate|test [DIR] [--json]",
      "policy explain FILE.json [--policies DIR] [--json]",
      "policy explain --session PATH|s3://BUCKET/PREFIX --exchange ID [--policies DIR] [--identity FILE] [--keys DIR|s3://BUCKET/PREFIX] [--endpoint URL] [--region NAME] [--json]",
      "policy simulate PATH|s3://BUCKET/PREFIX [--policies DIR] [--since DAY] [--examples N] [--identity FILE] [--keys DIR|s3://BUCKET/PREFIX] [--endpoint URL] [--region NAME] [--json]",
    ],
    does: "check policies, run their cases, say what each makes of a question, or what would have been decided by them",
    load: async () => (await import("./policy/policy.ts")).policy,
  },
  replay: {
    usage: "replay PATH|s3://BUCKET/PREFIX [--session ID] [--endpoint URL] [--region NAME] [--json]",
    does: "who asked for what, when, and what was decided; and whether that is what was sealed",
    load: async () => (await import("./replay/replay.ts")).replay,
  },
  erase: {
    usage: "erase ID --reason CASE [--console URL] [--json]",
    does: "destroy the key of an encrypted session; the log says by whom and for which case",
    load: async () => (await import("./cli/custody.ts")).erase,
  },
  "legal-hold": {
    usage: "legal-hold set|lift ID --reason CASE [--console URL] [--json]",
    does: "forbid that a session is erased, or allow it again",
    load: async () => (await import("./cli/custody.ts")).legalHold,
  },
  approvals: {
    usage:
      "approvals list|show|approve|deny|break-glass|comment [ID] [--comment TEXT] [--console URL] [--json]",
    does: "what policy holds: what waits, what it is, and a decision on it",
    load: async () => (await import("./approvals/approvals.ts")).approvals,
  },
  standing: {
    usage:
      "standing list|show|grant|join|revoke [ID] [--scope FILE --reason TEXT --minutes N] [--group NAME…] [--comment TEXT] [--console URL] [--json]",
    does: "what is approved in advance, for a while: what a file of Cedar describes",
    load: async () => (await import("./approvals/standing.ts")).standing,
  },
  setup: {
    usage:
      "setup cursor [--project DIR] [--gateway URL] [--config steno.toml] [--mcp token|oauth|stdio] [--shim sh|node] [--ssh] [--without EVENT…] [--print|--remove] [--json]",
    does: "point Cursor and its git at the gateway: mcp.json, hooks.json, sandbox.json, git's configuration; or take that back",
    load: async () => (await import("./setup/setup.ts")).setup,
  },
  hook: {
    usage: ["hook cursor|claude [EVENT]", "hook --print sh|node"],
    does: "what an agent runs for each hook event, which it reads on standard input; or that program, as one file",
    load: async () => (await import("./hook/hook.ts")).hook,
  },
  mcp: {
    usage: "mcp CONNECTION [--gateway URL]",
    does: "an MCP server over stdio, for agents that speak nothing else, that is a connection of the gateway",
    load: async () => (await import("./mcp/mcp.ts")).mcp,
  },
  login: {
    usage:
      "login --client-id ID [--issuer URL] [--gateway URL] [--scope TEXT] [--resource URI] [--console] [--json]",
    does: "sign in at the gateway's provider with any browser, and keep the token (device flow)",
    load: async () => (await import("./token/login.ts")).login,
  },
  token: {
    usage: "token [keep] [--console] [--json]",
    does: "who the token is for that this machine keeps; keep reads another on standard input",
    load: async () => (await import("./token/token.ts")).token,
  },
  logout: {
    usage: "logout [--json]",
    does: "forget the tokens that this machine keeps",
    load: async () => (await import("./token/token.ts")).logout,
  },
  credential: {
    usage: "credential get|store|erase [--gateway URL]",
    does: "git's credential helper: the kept token, for the gateway alone",
    load: async () => (await import("./token/credential.ts")).credential,
  },
  keys: {
    usage:
      "keys init|show|rotate ORIGIN|share [--to age1…,…] [--identity FILE] [ID…] [--config steno.toml] [--json]",
    does: "make the node's keys, show the public ones, or encrypt session keys to more auditors",
    load: async () => (await import("./cli/keys.ts")).keys,
  },
};

const usages = (usage: Command["usage"]): readonly string[] => (typeof usage === "string" ? [usage] : usage);
const called = ({ usage }: Command): string =>
  usages(usage)
    .map((one) => `usage: steno ${one}`)
    .join("\n");

export function help(): string {
  const rows = Object.values(COMMANDS).flatMap(({ usage, does }) => [
    ...usages(usage).map((one) => `  steno ${one}`),
    `      ${does}`,
  ]);
  return ["usage:", ...rows, "", "exit: 0 nothing found, 1 something found or refused, 2 could not run"].join(
    "\n",
  );
}

export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    console.log(help());
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const near = nearest(name, Object.keys(COMMANDS));
    console.error(`steno: unknown command "${name}"${near === undefined ? "" : `, did you mean "${near}"?`}`);
    return 2;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    console.log(`${called(command)}\n\n${command.does}`);
    return 0;
  }
  try {
    const run = await command.load();
    return await run(rest);
  } catch (thrown) {
    console.error(`steno ${name}: ${reason(thrown)}`);
    if (thrown instanceof UsageFault) console.error(called(command));
    return 2;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
