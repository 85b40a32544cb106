// The upstream's secret stays with the gateway, and the agent's token stays out of everything behind it.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { workspace } from "#test/support/servers/children.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { header, type RawHeaders, raw, startTap, type Tap } from "#test/support/tap.ts";

const FILED = `filed-${randomBytes(12).toString("hex")}`;
const BORNE = `borne-${randomBytes(12).toString("hex")}`;
const PLANTED = `planted-${randomBytes(12).toString("hex")}`;

const files = workspace("credential");
let site: GitSite;
/** Between the agent and the gateway: all that the agent is told. */
let agents: Tap;
/** An upstream that answers what a test tells it to. */
let echo: Tap;
let client: GitClient;
let token: string;

beforeAll(async () => {
  echo = await startTap(undefined);
  writeFileSync(join(files.path, "secret"), `${FILED}\n`, { mode: 0o600 });
  site = await startGitSite({
    connections: () => [
      {
        name: "filed",
        kind: "git",
        upstream: echo.url,
        credential: `file:${join(files.path, "secret")}`,
        scheme: "bearer",
      },
      { name: "borne", kind: "git", upstream: echo.url, credential: "env:BORNE" },
      { name: "open", kind: "git", upstream: echo.url },
    ],
    env: { BORNE },
  });
  agents = await startTap(site.node.gateway());
  token = await site.token();
  await tinyRepository(join(site.server.root, "app.git"));
  client = await site.client();
  writeFileSync(
    join(client.home, ".gitconfig"),
    `${readFileSync(join(client.home, ".gitconfig"), "utf8")}[http "${agents.url}"]\n\textraHeader = Authorization: Bearer ${token}\n`,
  );
});
beforeEach(() => {
  echo.passed.length = 0;
});
afterAll(async () => {
  await site?.stop();
  await Promise.all([agents?.stop(), echo?.stop()]);
  files.remove();
});

const path = (connection: string) => `/git/${connection}/x.git/info/refs?service=git-receive-pack`;
const sent = (): RawHeaders => echo.passed.at(-1)?.headers ?? [];
/** A secret as it may stand anywhere: itself, and as a Basic credential. */
const forms = (secret: string): string[] => {
  const basic = secret.includes(":") ? secret : `steno:${secret}`;
  return [secret, Buffer.from(basic).toString("base64"), Buffer.from(secret).toString("base64")];
};
const answers = (connection: string, headers: Record<string, string> = {}) => {
  echo.instead = (_, response) => {
    response.writeHead(200, { "content-type": "application/x-git-receive-pack-advertisement" });
    response.end("001f# service=git-receive-pack\n00000000");
    return true;
  };
  return raw(`${agents.url}${path(connection)}`, { authorization: `Bearer ${token}`, ...headers });
};

describe("what the upstream is sent", () => {
  test("is the secret of a file, as a bearer token", async () => {
    expect((await answers("filed")).status).toBe(200);
    expect(header(sent(), "authorization")).toBe(`Bearer ${FILED}`);
  });

  test("is the secret of the environment, as the password of Basic", async () => {
    expect((await answers("borne")).status).toBe(200);
    expect(header(sent(), "authorization")).toBe(`Basic ${btoa(`steno:${BORNE}`)}`);
  });

  test("is nothing where no credential is configured", async () => {
    expect((await answers("open")).status).toBe(200);
    expect(header(sent(), "authorization")).toBe(undefined);
  });

  test("is never anything that could carry the agent's token or speak for somebody else", async () => {
    const planted = {
      cookie: `session=${PLANTED}`,
      "x-api-key": PLANTED,
      "x-goog-api-key": PLANTED,
      "proxy-authorization": `Bearer ${PLANTED}`,
      "x-forwarded-for": PLANTED,
      "x-forwarded-user": PLANTED,
      "x-remote-user": PLANTED,
      "steno-clearance": PLANTED,
      "x-anything": PLANTED,
      "x-original-url": `/${PLANTED}`,
      forwarded: `for=${PLANTED}`,
      connection: "x-listed",
      "x-listed": PLANTED,
    };
    for (const connection of ["filed", "borne", "open"]) {
      expect((await answers(connection, planted)).status).toBe(200);
      const text = sent().join("\n");
      expect(text).not.toContain(PLANTED);
      expect(text).not.toContain(token);
      expect(text.toLowerCase()).not.toMatch(/^(cookie|x-|proxy-|forwarded|steno-)/m);
      expect(header(sent(), "host")).toBe(new URL(echo.url).host);
    }
  });

  test("has the token out of the query too: such a request is not git, and goes nowhere", async () => {
    const { status } = await raw(`${agents.url}${path("open")}&access_token=${PLANTED}`, {
      authorization: `Bearer ${token}`,
    });
    expect(status).toBe(404);
    expect(echo.passed).toEqual([]);
  });
});

describe("what the upstream says back", () => {
  test("does not reach the agent where it would act on the gateway's own origin", async () => {
    echo.instead = (_, response) => {
      response.writeHead(200, {
        "content-type": "application/x-git-receive-pack-advertisement",
        "set-cookie": `upstream=${PLANTED}`,
        "www-authenticate": `Basic realm="${PLANTED}"`,
        "strict-transport-security": "max-age=1",
        "alt-svc": `h3="${PLANTED}:443"`,
        "steno-refusal": PLANTED,
        "steno-session": PLANTED,
      });
      response.end("001f# service=git-receive-pack\n00000000");
      return true;
    };
    const { status, headers } = await raw(`${agents.url}${path("open")}`, {
      authorization: `Bearer ${token}`,
    });
    expect(status).toBe(200);
    expect(headers.join("\n")).not.toContain(PLANTED);
    expect(headers.join("\n").toLowerCase()).not.toContain("strict-transport-security");
  });
});

test("an error page that repeats the credential is neither shown nor kept", async () => {
  echo.instead = (request, response) => {
    response
      .writeHead(500, { "x-echo": `${request.headers.authorization}` })
      .end(request.rawHeaders.join("\n"));
    return true;
  };
  for (const connection of ["filed", "borne"]) {
    const { status, body } = await raw(`${agents.url}${path(connection)}`, {
      authorization: `Bearer ${token}`,
    });
    expect(status).toBe(200);
    expect(body.toString()).toContain("ERR The git server answered 500.");
  }
});

test("a day's work of git passes", async () => {
  const base = `${agents.url}/git/code/app.git`;
  const clone = await client.clone(base);
  await client.git("-C", clone, "checkout", "-q", "-b", "work");
  await client.commit(clone, "a.txt", "work\n");
  await client.git("-C", clone, "push", "-q", "origin", "work");
  expect((await client.attempt("-C", clone, "push", "origin", "work:main")).code).toBe(1);
  await client.git("-C", clone, "fetch", "-q", "--all");
  expect((await client.attempt("ls-remote", `${agents.url}/git/code/none.git`)).code).toBe(128);
});

describe("after all that", () => {
  const secrets = () => [`${site.server.user}:${site.server.password}`, site.server.password, FILED, BORNE];

  test("the agent was told no secret, in no header and no body", () => {
    expect(agents.passed.length).toBeGreaterThan(10);
    for (const { answer, answerHeaders } of agents.passed)
      for (const form of secrets().flatMap(forms)) {
        expect(answer().includes(form)).toBe(false);
        expect(answerHeaders().join("\n")).not.toContain(form);
      }
  });

  test("it is sealed and verifies, and no line or body of it has a secret or a token", async () => {
    expect(await site.seal()).toEqual(SOUND);
    const { everything } = await site.recording();
    expect(everything.includes("refs/heads/work")).toBe(true);
    for (const form of [...secrets(), token, PLANTED].flatMap(forms))
      expect(everything.includes(form)).toBe(false);
  });

  test("no file the node wrote has a secret or a token: not its state, its archive or its log", () => {
    const written = walk(site.node.directory);
    expect(written.map((file) => file.slice(site.node.directory.length)).join("\n")).toMatch(/\.sqlite/);
    for (const file of written) {
      const bytes = readFileSync(file);
      for (const form of [...secrets(), token, PLANTED].flatMap(forms))
        expect({ file, form: bytes.includes(form) ? form : "" }).toEqual({ file, form: "" });
    }
  });
});

function walk(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}
