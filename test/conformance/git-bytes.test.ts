// Byte for byte: what the agent sends is what the server gets, what the server answers is what the agent gets.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type GitClient, gitBytes, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { header, type RawHeaders, raw, startTap, type Tap } from "#test/support/tap.ts";

const exec = promisify(execFile);
const RESULT = "application/x-git-upload-pack-result";

let site: GitSite;
/** An upstream that answers what a test tells it to. */
let odd: Tap;
let token: string;
let tip: string;
let client: GitClient;

beforeAll(async () => {
  odd = await startTap(undefined);
  site = await startGitSite({
    connections: () => [{ name: "odd", kind: "git", upstream: odd.url, credential: "env:UPSTREAM_SECRET" }],
  });
  token = await site.token();
  tip = (await tinyRepository(join(site.server.root, "app.git"))).commits.at(-1) ?? "";
  client = await site.client();
});
beforeEach(() => {
  site.tap.passed.length = 0;
  odd.passed.length = 0;
});
afterAll(async () => {
  await site?.stop();
  await odd?.stop();
});

const agent = () => ({ authorization: `Bearer ${token}` });
const own = () => ({ authorization: `Basic ${btoa(`${site.server.user}:${site.server.password}`)}` });
const line = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;
const asks = { "content-type": "application/x-git-upload-pack-request", accept: RESULT };
/** A v0 request for everything. The server packs with one thread, so that two answers are the same bytes. */
const wanted = () => `${line(`want ${tip} ofs-delta agent=test\n`)}0000${line("done\n")}`;

/** Headers that are the server's own, not of the hop. */
const kept = (headers: RawHeaders): string[] =>
  headers
    .map((text, i) => (i % 2 === 0 ? `${text.toLowerCase()}: ${headers[i + 1]}` : ""))
    .filter((text) => text !== "" && !/^(steno-|date|connection|keep-alive|transfer-encoding)/.test(text))
    .toSorted();

describe("what stock http-backend answers", () => {
  test("refs of git-receive-pack arrive as they are, and ask for whole packs as well", async () => {
    const path = "app.git/info/refs?service=git-receive-pack";
    const through = (await raw(site.url(path), agent())).body.toString("latin1");
    const straight = (await raw(`${site.server.authUrl}/${path}`, own())).body.toString("latin1");
    const [line = ""] = /^0000([0-9a-f]{4})/m.exec(straight.slice(straight.indexOf("\n"))) ?? [];
    const longer = (Number.parseInt(line.slice(4), 16) + " no-thin".length).toString(16).padStart(4, "0");
    const first = straight.indexOf("\n", straight.indexOf("\0"));
    const asked = `${straight.slice(0, first)} no-thin${straight.slice(first)}`;
    expect(through).toBe(asked.replace(line, `0000${longer}`));
  });

  test.each(["git-upload-pack"])("refs of %s over v0 arrive byte for byte", async (service) => {
    const path = `app.git/info/refs?service=${service}`;
    const through = await raw(site.url(path), agent());
    const straight = await raw(`${site.server.authUrl}/${path}`, own());
    expect(through.status).toBe(200);
    expect(through.body.equals(straight.body)).toBe(true);
    expect(kept(through.headers)).toEqual(kept(straight.headers));
  });

  test("a pack over v0 arrives byte for byte", async () => {
    const through = await raw(site.url("app.git/git-upload-pack"), { ...agent(), ...asks }, wanted());
    const straight = await raw(
      `${site.server.authUrl}/app.git/git-upload-pack`,
      { ...own(), ...asks },
      wanted(),
    );
    expect(through.body.toString("latin1")).toContain("PACK");
    expect(through.body.equals(straight.body)).toBe(true);
    expect(kept(through.headers)).toEqual(kept(straight.headers));
  });

  test("a compressed request reaches the server as it was sent", async () => {
    const body = gzipSync(wanted(), { level: 9 });
    const headers = { ...agent(), ...asks, "content-encoding": "gzip" };
    const { body: answer } = await raw(site.url("app.git/git-upload-pack"), headers, body);
    expect(answer.toString("latin1")).toContain("PACK");
    const [seen] = site.tap.passed;
    expect(seen?.body().equals(body)).toBe(true);
    expect(header(seen?.headers ?? [], "content-encoding")).toBe("gzip");
  });

  test("every exchange names its session and itself", async () => {
    const { headers } = await raw(site.url("app.git/info/refs?service=git-upload-pack"), agent());
    expect(header(headers, "steno-session")).toMatch(/^ses_[0-9A-Z]{26}$/);
    expect(header(headers, "steno-exchange")).toMatch(/^exc_[0-9A-Z]{26}$/);
  });
});

describe("an upstream of its own kind", () => {
  const packed = gzipSync(randomBytes(200_000), { level: 1 });
  const ask = () =>
    raw(
      site.url("x.git/git-upload-pack", "odd"),
      { ...agent(), ...asks, "accept-encoding": "gzip" },
      wanted(),
    );

  test.each([1_000, packed.byteLength])(
    "a compressed answer of %i bytes keeps its encoding, length and bytes",
    async (size) => {
      const bytes = size === packed.byteLength ? packed : gzipSync("x".repeat(size));
      odd.instead = (incoming, response) => {
        incoming.resume();
        const headers = [
          "Content-Type",
          RESULT,
          "Content-Encoding",
          "gzip",
          "Content-Length",
          String(bytes.byteLength),
        ];
        response.writeHead(200, [...headers, "X-Own", "kept"]).end(bytes);
        return true;
      };
      const { headers, body } = await ask();
      expect(body.equals(bytes)).toBe(true);
      expect(header(headers, "content-encoding")).toBe("gzip");
      expect(header(headers, "content-length")).toBe(String(bytes.byteLength));
      expect(header(headers, "x-own")).toBe("kept");
      expect(header(odd.passed[0]?.headers ?? [], "accept-encoding")).toBe("gzip");
    },
  );

  test("an answer in chunks arrives in the same bytes, each as soon as it is there", async () => {
    const parts = [Buffer.from("0008NAK\n"), randomBytes(70_000), randomBytes(3)];
    const first = Promise.withResolvers<void>();
    odd.instead = (incoming, response) => {
      incoming.resume();
      response.writeHead(200, { "content-type": RESULT });
      response.write(parts[0]);
      // Nothing more until the agent has that: a gateway that waits for more waits for ever.
      void first.promise.then(() => {
        response.write(parts[1]);
        setTimeout(() => response.end(parts[2]), 100);
      });
      return true;
    };
    const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
    const headers = { ...agent(), ...asks };
    request(site.url("x.git/git-upload-pack", "odd"), { method: "POST", headers }, resolve).end(wanted());
    const answer = await promise;
    const seen: Buffer[] = [];
    for await (const chunk of answer) {
      seen.push(chunk as Buffer);
      first.resolve();
    }
    expect(seen[0]).toEqual(parts[0]);
    expect(Buffer.concat(seen).equals(Buffer.concat(parts))).toBe(true);
    expect(answer.headers["transfer-encoding"]).toBe("chunked");
  });

  test("an answer that breaks off breaks off at the agent too, after the bytes that came", async () => {
    odd.instead = (incoming, response) => {
      incoming.resume();
      response.writeHead(200, { "content-type": RESULT });
      response.write("0008NAK\n");
      setTimeout(() => response.destroy(), 100);
      return true;
    };
    await expect(ask()).rejects.toThrow(/aborted|ECONNRESET|hang up/);
  });

  test("what would lead the client past the gateway is not offered", async () => {
    const offered = [
      "agent=odd/1",
      "ls-refs=unborn",
      "fetch=shallow filter packfile-uris sideband-all",
      "server-option",
    ];
    const all = [...offered, "object-format=sha1", "object-info", "bundle-uri", "promisor-remote=name=x"];
    odd.instead = (_, response) => {
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      response.end(`${line("version 2\n")}${all.map((each) => line(`${each}\n`)).join("")}0000`);
      return true;
    };
    const path = "x.git/info/refs?service=git-upload-pack";
    const { body } = await raw(site.url(path, "odd"), { ...agent(), "git-protocol": "version=2" });
    const text = body.toString();
    for (const word of ["packfile-uris", "object-info", "bundle-uri", "promisor-remote"])
      expect(text).not.toContain(word);
    expect(text).toBe(
      `${["version 2", "agent=odd/1", "ls-refs=unborn", "fetch=shallow filter sideband-all", "server-option", "object-format=sha1"].map((each) => line(`${each}\n`)).join("")}0000`,
    );
  });

  test("a server that offers bundles has them left out, and the clone is whole", async () => {
    const bare = join(site.server.root, "app.git");
    await client.git("-C", bare, "config", "uploadpack.advertiseBundleURIs", "true");
    await client.git("-C", bare, "config", "bundle.version", "1");
    const clone = await client.clone(site.url("app.git"), "-c", "transfer.bundleURI=true");
    expect(await client.git("-C", clone, "rev-parse", "HEAD")).toBe(tip);
  });
});

describe("a push that no git sends this way", () => {
  let clone: string;
  beforeAll(async () => {
    clone = await client.clone(site.url("app.git"));
  });
  /** A push body for a new branch: command, flush, pack. */
  async function pushBody(branch: string, content: string | Uint8Array) {
    await client.git("-C", clone, "checkout", "-q", "--detach", tip);
    const id = await client.commit(clone, "a.bin", content);
    const pack = await gitBytes(
      client,
      ["-C", clone, "pack-objects", "--stdout", "--revs", "-q"],
      `${id}\n^${tip}\n`,
    );
    const command = `${"0".repeat(40)} ${id} refs/heads/${branch}\0report-status side-band-64k agent=test`;
    return { id, body: Buffer.concat([Buffer.from(`${line(command)}0000`), pack]) };
  }
  const at = async (branch: string) =>
    (await refsOf(client, join(site.server.root, "app.git")))
      .find((ref) => ref.endsWith(`/${branch}`))
      ?.split(" ")[0];
  const pushing = { "content-type": "application/x-git-receive-pack-request" };

  test.each([
    ["with its length", []],
    ["in chunks", ["-H", "Transfer-Encoding: chunked"]],
    ["after waiting for 100-continue", ["-H", "Expect: 100-continue", "--expect100-timeout", "90"]],
    [
      "in chunks after 100-continue",
      ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", "--expect100-timeout", "90"],
    ],
  ])("by curl %s reaches the server whole", async (how, flags) => {
    const branch = `curl-${how.replaceAll(/\W/g, "-")}`;
    const { id, body } = await pushBody(branch, randomBytes(5 << 20));
    const file = join(client.home, branch);
    writeFileSync(file, body);
    site.tap.passed.length = 0;
    const headers = Object.entries({ ...agent(), ...pushing }).flatMap(([name, value]) => [
      "-H",
      `${name}: ${value}`,
    ]);
    const began = performance.now();
    const target = site.url("app.git/git-receive-pack");
    const { stdout } = await exec("curl", [
      "-sS",
      "-f",
      ...headers,
      ...flags,
      "--data-binary",
      `@${file}`,
      target,
    ]);
    expect(stdout).toContain(`ok refs/heads/${branch}`);
    // curl waits so long when nobody answers its Expect.
    expect(performance.now() - began).toBeLessThan(80_000);
    expect(await at(branch)).toBe(id);
    expect(
      site.tap.passed
        .find(({ method, url }) => method === "POST" && url.endsWith("git-receive-pack"))
        ?.body()
        .equals(body),
    ).toBe(true);
  });

  test("compressed is understood, and reaches the server as it was sent", async () => {
    const { id, body } = await pushBody("squeezed", "squeezed\n".repeat(5000));
    const bytes = gzipSync(body);
    expect(gunzipSync(bytes).equals(body)).toBe(true);
    site.tap.passed.length = 0;
    const headers = { ...agent(), ...pushing, "content-encoding": "gzip" };
    const { status } = await raw(site.url("app.git/git-receive-pack"), headers, bytes);
    expect(status).toBe(200);
    expect(await at("squeezed")).toBe(id);
    expect(
      site.tap.passed
        .find(({ method, url }) => method === "POST" && url.endsWith("git-receive-pack"))
        ?.body()
        .equals(bytes),
    ).toBe(true);
  });
});

test("all of it is sealed and verifies, and the recorded bodies are the bytes that passed", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { exchanges } = await site.recording();
  const compressed = [...exchanges.values()].filter(({ response }) =>
    response?.headers.some(([name, value]) => name === "content-encoding" && value === "gzip"),
  );
  expect(compressed).toHaveLength(2);
  for (const { answered } of compressed) expect(() => gunzipSync(answered.bytes)).not.toThrow();
});
