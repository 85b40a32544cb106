/** What git is told: which remotes lead through the gateway, and who has the token for it. */
import { spawnSync } from "node:child_process";
import type { Reachable } from "./connections.ts";

const BEGIN = "# steno setup cursor: from here";
const END = "# steno setup cursor: to here";

export type GitOptions = {
  /** With no trailing slash. */
  readonly gateway: string;
  /** Words of the command that is `steno` on this machine. */
  readonly steno: readonly string[];
  /** Also what is spelled for SSH. */
  readonly ssh: boolean;
};

export function gitLines(connections: readonly Reachable[], { gateway, steno, ssh }: GitOptions): string {
  const { origin } = new URL(gateway);
  const helper = [...steno, "credential", "--gateway", gateway].map(shellWord).join(" ");
  const remotes = connections.flatMap(({ name, upstream }) => {
    if (upstream === undefined) return [];
    return [
      `[url ${quoted(`${gateway}/git/${name}/`)}]`,
      ...spellings(upstream, ssh).map((text) => `\tinsteadOf = ${quoted(text)}`),
    ];
  });
  return `${[
    BEGIN,
    ...remotes,
    `[credential ${quoted(origin)}]`,
    // An empty one ends the list: nobody else is to keep this token.
    "\thelper =",
    `\thelper = ${quoted(`!${helper}`)}`,
    `[http ${quoted(`${origin}/`)}]`,
    // From 2.46 on git need not be turned away first.
    "\tproactiveAuth = basic",
    // What waits for an approval is slow.
    "\tlowSpeedLimit = 0",
    END,
  ].join("\n")}\n`;
}

/** How remotes below an upstream may begin. */
function spellings(upstream: string, ssh: boolean): string[] {
  const own = [`${upstream}/`];
  // Its own port may be left out.
  if (/^git:\/\/[^/]+:9418$/.test(upstream)) own.push(upstream.replace(/:9418$/, "/"));
  const web = /^https?:\/\/([^/:]+)(?::\d+)?$/.exec(upstream);
  if (ssh && web) own.push(`git@${web[1]}:`, `ssh://git@${web[1]}/`);
  return own;
}

/** One word of a POSIX shell, which git brings everywhere. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** gitconfig(5): between double quotes only these two are letters of its own. */
const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** What git reads in a configuration, or its complaint; undefined where there is no git. */
export function readByGit(text: string): ReadonlyMap<string, readonly string[]> | string | undefined {
  const ran = spawnSync("git", ["config", "--file", "-", "--no-includes", "--list", "-z"], {
    input: text,
    encoding: "utf8",
    timeout: 10_000,
  });
  if (ran.error && "code" in ran.error && ran.error.code === "ENOENT") return undefined;
  if (ran.status !== 0) return ran.stderr.trim().split("\n")[0] ?? "git cannot read it";
  const found = new Map<string, string[]>();
  for (const entry of ran.stdout.split("\0")) {
    const [key = "", ...value] = entry.split("\n");
    if (key !== "") found.set(key, [...(found.get(key) ?? []), value.join("\n")]);
  }
  return found;
}

/** What leads below an upstream to somewhere else than the gateway: git takes the longest that fits. */
export function waysAround(
  known: ReadonlyMap<string, readonly string[]>,
  connections: readonly Reachable[],
  gateway: string,
): string[] {
  return [...known].flatMap(([key, values]) => {
    const [, base, kind] = /^url\.(.*)\.((?:push)?insteadof)$/s.exec(key) ?? [];
    if (base === undefined || kind === undefined || base.startsWith(`${gateway}/git/`)) return [];
    return values
      .filter((value) =>
        connections.some(({ upstream }) => upstream !== undefined && value.startsWith(upstream)),
      )
      .map((value) => `${value} is led to ${base} by ${kind}, past the gateway`);
  });
}
