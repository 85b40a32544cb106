/** Hosts that a command names: in URLs, as `user@host:path`, and of programs that go to the network also bare. */

const NETWORK: ReadonlySet<string> = new Set(
  "curl wget ssh sftp scp rsync telnet nc ncat socat ping http https ftp".split(" "),
);
const URL_HOST = /[a-z][a-z0-9+.-]*:\/\/(?:[^/@\s"']*@)?(\[[0-9a-f:.]+\]|[^/:?#\s"'@]+)/gi;
const SCP_HOST = /^[\w.-]+@([\w.-]+):/;
const BARE = /^(?:[^@\s]*@)?((?:[a-z0-9-]+\.)+[a-z0-9-]+|localhost|\[[0-9a-f:.]+\])(?=[:/?#]|$)/i;

/** In lower case. `words` are those after the program. */
export function hostsOf(program: string, words: readonly string[]): readonly string[] {
  const found = words.flatMap((word) => {
    const named = [...word.matchAll(URL_HOST)].map(([, host = ""]) => host);
    const scp = SCP_HOST.exec(word)?.[1];
    const bare = NETWORK.has(program) && !word.startsWith("-") ? BARE.exec(word)?.[1] : undefined;
    return [...named, scp, bare].filter((host) => host !== undefined);
  });
  return [...new Set(found.map((host) => host.toLowerCase()))];
}
