import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { look } from "#scripts/check/check.ts";
import { clock } from "#scripts/check/clock.ts";
import { line } from "#scripts/config/finding.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { main } from "#scripts/steno.ts";

const root = mkdtempSync(join(tmpdir(), "steno-command-"));
let server: Server;
let origin = "";

beforeAll(async () => {
  mkdirSync(join(root, "policies"));
  writeFileSync(join(root, "policies/none.cedar"), "forbid (principal, action, resource);\n");
  server = createServer((request, response) => {
    const own = request.url?.startsWith("/elsewhere") ? "/elsewhere" : "";
    const keys = own === "" ? `${origin}/jwks` : "http://127.0.0.2:1/jwks";
    if (request.url?.endsWith("/openid-configuration")) {
      response.end(JSON.stringify({ issuer: origin + own, jwks_uri: keys }));
    } else if (request.url === "/jwks") response.end('{"keys":[{"kty":"EC"}]}');
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(root, { recursive: true });
});

async function looked(text: string, env: Record<string, string> = {}): Promise<string[]> {
  const { settings, findings } = parseSettings(text, root, join(root, "steno.toml"));
  if (settings === undefined) throw new Error(JSON.stringify(findings));
  return (await look(settings, env)).map(line);
}

test("check finds servers that answer, and says which do not", async () => {
  const upstream = (name: string, url: string) =>
    `[[connections]]\nname = "${name}"\nkind = "git"\nupstream = "${url}"\n`;
  const { port } = server.address() as AddressInfo;
  const lines = await looked(
    `[[identity.oidc]]\nissuer = "${origin}"\n[[identity.oidc]]\nissuer = "${origin}/elsewhere"\n[[identity.oidc]]\nissuer = "${origin}/"\n${upstream("a", origin)}${upstream("b", "git://127.0.0.1:1")}${upstream("c", `git://127.0.0.1:${port}`)}`,
  );
  expect(lines).toContain(`ok: issuer ${origin}: 1 keys at ${origin}/jwks`);
  expect(lines).toContain(
    `error: issuer ${origin}/elsewhere: its keys are at another origin: set jwks_uri = "http://127.0.0.2:1/jwks"`,
  );
  expect(lines).toContain(`error: issuer ${origin}/: discovery says it is ${origin}`);
  expect(lines).toContain(`ok: upstream a: ${origin} answers 404`);
  expect(lines.join("\n")).toMatch(/error: upstream b: git:\/\/127.0.0.1:1 does not answer: .*ECONNREFUSED/);
  expect(lines).toContain(`ok: upstream c: git://127.0.0.1:${port} accepts connections`);
});

test("check names what travels in the clear, what is unset and what cannot be written", async () => {
  writeFileSync(join(root, "file"), "");
  const lines = await looked(
    '[listen]\nagents = "*:8787"\n[archive]\nkind = "directory"\npath = "./file/x"\n[[connections]]\nname = "a"\nkind = "git"\nupstream = "http://10.255.255.1:9/"\ncredential = "env:UNSET"\n[policy]\ndir = "./absent"\n',
  );
  expect(lines).toContain("warning: listen.agents: 0.0.0.0:8787 takes tokens in the clear: put TLS in front");
  expect(lines).toContain("warning: upstream a: gets its credential in the clear: use https://");
  expect(lines).toContain("error: credential of a: environment variable UNSET is not set");
  expect(lines).toContain(`error: archive: ${join(root, "file")} is not a directory`);
  expect(lines.join("\n")).toMatch(/error: policy .*absent: cannot load policies/);
  expect(lines).toContain("warning: identity: no issuers are configured: every request is refused");
});

test("a clock that is apart is a warning, then an error", () => {
  const at = Date.UTC(2026, 10, 22);
  const headers = new Headers({ date: new Date(at).toUTCString() });
  const apart = (seconds: number) => clock("x", headers, at + seconds * 1000).map(line);
  expect(apart(2)).toEqual(["ok: clock, x: within 5 s"]);
  expect(apart(9)).toEqual(["warning: clock, x: our clock is 9 s ahead of it"]);
  expect(apart(-90)).toEqual(["error: clock, x: our clock is 90 s behind it"]);
  expect(clock("x", new Headers(), at)).toEqual([]);
});

test.each([
  [["chekc"], 'unknown command "chekc", did you mean "check"?'],
  [["check", "--confg", "x"], 'unknown option "--confg", did you mean "--config"?'],
  [["check", "x"], 'unexpected argument "x"'],
  [["keys", "turn"], "say keys init, keys show, keys rotate or keys share"],
  [["keys", "rotate"], "keys rotate needs the name of the log that goes on"],
  [["keys", "rotate", "Seal"], "is not a bare hostname in lower case"],
  [["keys", "rotate", "steno.localhost"], "there is a log named steno.localhost already"],
  [["constructor"], 'unknown command "constructor"'],
  [["serve", "--config", join(root, "absent.toml")], "cannot be read"],
  [["serve", "--config"], "argument missing"],
])("steno %j exits 2 and says why", async (args, said) => {
  const text: string[] = [];
  const spy = vi
    .spyOn(console, "error")
    .mockImplementation((...words: unknown[]) => void text.push(words.join(" ")));
  try {
    expect(await main(args)).toBe(2);
  } finally {
    spy.mockRestore();
  }
  expect(text.join("\n")).toContain(said);
});
