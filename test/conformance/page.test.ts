/** The auditor's single file in a real browser: from disk, offline, with good evidence, bad evidence and hostile evidence. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { bytesName, framesName, LOG_PQ_VKEY, LOG_VKEY, SEAL_NAME, SEAL_PUB } from "#durable/format/layout.ts";
import { toBase64, toHex } from "#durable/proof/bytes.ts";
import { toPem } from "#durable/proof/key.ts";
import { vkeyFile } from "#durable/proof/log/trust.ts";
import { exportSession } from "#scripts/export/export.ts";
import { openBrowser, openPage, type Watched } from "#test/support/browser.ts";
import { hostileFrames } from "#test/support/hostile-frames.ts";
import { logSigner } from "#test/support/log-signer.ts";
import { workspace } from "#test/support/servers/children.ts";
import { cli } from "#test/support/steno.ts";
import { longSession, push, pushBody } from "../unit/proof/corpus.ts";
import { Archive, LOG, type Recording, SPKI } from "../unit/proof/recording.ts";

const home = workspace("page");
let browser: Browser;
let good: string;
let archive: Archive;
let recording: Recording;

beforeAll(async () => {
  browser = await openBrowser();
  archive = new Archive();
  await longSession(archive);
  recording = archive.session(7);
  await recording.begin();
  recording.talk("the needle in a body\n");
  recording.talk("no\n", "deny");
  const pushed = pushBody(3);
  push(recording, pushed);
  recording.write({ k: "gap", cause: "test", exchanges: [], missing: "what was said aloud" });
  await recording.close(
    "closed",
    pushed.commits.map((oid) => ({ ref: "refs/heads/main", oid })),
  );
  good = await exportOf("good", archive, recording.session);
});
afterAll(async () => {
  await browser.close();
  home.remove();
});

/** Writes an archive to disk and exports one session of it. */
async function exportOf(name: string, { objects }: Archive, session: SessionId): Promise<string> {
  for (const [key, bytes] of objects) {
    mkdirSync(join(home.path, name, dirname(key)), { recursive: true });
    writeFileSync(join(home.path, name, key), bytes);
  }
  const output = join(home.path, `${name}.html`);
  const terminal = { env: {}, out: () => undefined, err: () => undefined };
  expect(
    await exportSession([join(home.path, name), "--html", "--session", session, "-o", output], terminal),
  ).toBe(0);
  return output;
}

async function opened(path: string, before?: () => void): Promise<Watched & { readonly verdict: string }> {
  const watched = await openPage(browser, path, before);
  await watched.page.waitForSelector("body[data-integrity]");
  return { ...watched, verdict: await verdictOf(watched.page) };
}

const verdictOf = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const { integrity, completeness, held } = document.body.dataset;
    return [integrity, completeness, held === "true" ? "held" : "by itself"].join(" ");
  });

const findings = (page: Page): Promise<string[]> => page.locator(".findings li").allInnerTexts();

/** The page with one embedded object bent, or left out. */
async function bent(name: string, key: string, bend: (bytes: Uint8Array) => Uint8Array | undefined) {
  const text = readFileSync(good, "utf8");
  const bytes = archive.objects.get(key);
  const block = `<script type="text/plain" data-key="${key}">${toBase64(bytes ?? new Uint8Array())}</script>`;
  expect(text).toContain(block);
  const now = bend(new Uint8Array(bytes ?? []));
  const path = join(home.path, `${name}.html`);
  writeFileSync(path, text.replace(block, now ? block.replace(/>[^<]*</, `>${toBase64(now)}<`) : ""));
  return path;
}

const flipped = (bytes: Uint8Array): Uint8Array => {
  const middle = bytes.byteLength >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  return bytes;
};

async function hold(page: Page, text: string): Promise<string> {
  await page.evaluate(() => document.querySelector(".verdict")?.classList.add("before"));
  await page.fill("#held", text);
  await page.click("text=Verify with it");
  await page.waitForSelector(".verdict:not(.before)");
  return verdictOf(page);
}

test("the file opens from disk without a network, asks nobody for anything, and says VALID, with the recorder's own gap", async () => {
  const { verdict, asked, said, page, close } = await opened(good);
  expect(verdict).toBe("VALID DEGRADED by itself");
  expect(await page.textContent(".verdict")).toContain("This file cannot vouch for itself");
  expect(await findings(page)).toEqual([expect.stringContaining("what was said aloud")]);
  expect([asked, said]).toEqual([[], []]);
  await page.waitForSelector("#evidence");
  expect(await page.isVisible(".caution")).toBe(false);
  await close();
});

test("a session without a gap is COMPLETE, and no other session's objects are in its file", async () => {
  const sealed = [...archive.objects.keys()].flatMap((key) => /(ses_\w+)\/seal/.exec(key)?.[1] ?? []);
  const session = sealed.find((id) => id !== recording.session) as SessionId;
  const path = await exportOf("long", archive, session);
  const { verdict, page, close } = await opened(path);
  expect(verdict).toBe("VALID COMPLETE by itself");
  await page.waitForSelector("#evidence");
  expect(await page.content()).not.toContain(recording.session);
  await close();
});

test("steno verify reads the evidence out of the file and does not believe the page around it", async () => {
  const ran = await cli(["verify", good, "--json"], "", process.env);
  expect(JSON.parse(ran.out)).toMatchObject({ integrity: "VALID", completeness: "DEGRADED", sessions: 1 });
  const bad = await bent("cli", `${recording.folder}${framesName(0)}`, flipped);
  const again = await cli(["verify", bad], "", process.env);
  expect(again.code).toBe(1);
  expect(again.out).toContain(`segment_altered ${recording.folder}${framesName(0)}`);
});

describe("bad evidence", () => {
  test.each([
    ["frames", () => `${recording.folder}${framesName(0)}`],
    ["bytes", () => `${recording.folder}${bytesName(0)}`],
    ["seal", () => `${recording.folder}${SEAL_NAME}`],
    ["entry", () => recording.lastHead],
    ["seal.pub", () => SEAL_PUB],
    ["log.vkey", () => LOG_VKEY],
  ])("one flipped byte of the embedded %s is found, and the object named", async (name, key) => {
    const { verdict, page, close } = await opened(await bent(name, key(), flipped));
    expect(verdict).toMatch(/^INVALID /);
    expect((await findings(page)).join("\n")).toContain(key());
    expect(await page.isVisible(".caution")).toBe(true);
    await close();
  });

  test("an object that was left out is missed, and named; what cannot be read is not shown", async () => {
    const key = `${recording.folder}${framesName(0)}`;
    const { verdict, page, close } = await opened(await bent("missing", key, () => undefined));
    expect(verdict).toMatch(/ INCOMPLETE /);
    expect((await findings(page)).join("\n")).toContain(`object_missing ${key}`);
    await page.waitForSelector("#timeline");
    expect(await page.locator(".row .name").allInnerTexts()).toEqual(["unreadable"]);
    await close();
  });

  test("a block that is not base64 leaves nothing verified, and the page says so", async () => {
    const path = join(home.path, "torn.html");
    writeFileSync(
      path,
      readFileSync(good, "utf8").replace('data-key="trust/seal.pub">', 'data-key="trust/seal.pub">*'),
    );
    const { page, close } = await opened(path);
    expect(await page.textContent("main")).toMatch(/Nothing was verified[\s\S]*trust\/seal.pub/);
    await close();
  });
});

describe("the key the auditor holds", () => {
  const print = async () =>
    toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(SPKI))));
  const otherPem = async () => {
    const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
      "sign",
      "verify",
    ]);
    return toPem(new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)));
  };
  const vkeys = (keys: typeof LOG.keys) =>
    (["ed25519", "mlDsa"] as const).map((which) => new TextDecoder().decode(vkeyFile(keys, which))).join("");

  test("its PEM, its SHA-256, or all that steno keys show prints, is what the evidence is then held against", async () => {
    const { page, close } = await opened(good);
    const pem = toPem(SPKI);
    const sha256 = await print();
    for (const text of [
      pem,
      sha256,
      (sha256.match(/.{2}/g) ?? []).join(":").toUpperCase(),
      `gw.example\nsha256 ${sha256}\n${pem}`,
      `${pem}${vkeys(LOG.keys)}`,
    ])
      expect(await hold(page, text), text).toBe("VALID DEGRADED held");
    expect(await page.textContent(".key")).toContain("checked with your vkeys");
    await close();
  });

  test("another key, another fingerprint and another log are refused by name", async () => {
    const { page, close } = await opened(good);
    expect(await hold(page, await otherPem())).toMatch(/^INVALID .* held$/);
    expect((await findings(page)).join("\n")).toMatch(/key_other trust\/seal\.pub[\s\S]*head_key/);
    expect(await hold(page, "ab".repeat(32))).toMatch(/^INVALID .* held$/);
    expect((await findings(page)).join("\n")).toContain(`you hold ${"ab".repeat(32)}`);
    expect(await hold(page, vkeys((await logSigner("elsewhere.example")).keys))).toMatch(/^INVALID /);
    expect((await findings(page)).join("\n")).toContain("key_other trust/log.vkey");
    await close();
  });

  test("what is no key is said to be none, and the verdict stays", async () => {
    const { page, close } = await opened(good);
    await page.fill("#held", "hunter2");
    await page.click("text=Verify with it");
    await page.waitForSelector(".key [role=alert]:not([hidden])");
    expect(await page.textContent(".key [role=alert]")).toContain("no key in that");
    expect(await verdictOf(page)).toBe("VALID DEGRADED by itself");
    await close();
  });
});

test("a browser that lacks Ed25519 and ML-DSA comes to the same verdicts", async () => {
  const lacking = () => {
    const native = crypto.subtle.importKey.bind(crypto.subtle) as (...given: unknown[]) => Promise<CryptoKey>;
    const importKey = async (...given: unknown[]) => {
      if (typeof given[2] === "string") throw new DOMException("Unrecognized name.", "NotSupportedError");
      return native(...given);
    };
    Object.defineProperty(crypto.subtle, "importKey", {
      value: importKey,
      configurable: true,
      writable: true,
    });
  };
  const sound = await opened(good, lacking);
  expect(sound.verdict).toBe("VALID DEGRADED by itself");
  await sound.close();
  const unsound = await opened(await bent("lacking", LOG_PQ_VKEY, flipped), lacking);
  expect(unsound.verdict).toMatch(/^INVALID /);
  await unsound.close();
});

describe("the replay", () => {
  test("shows who, what, the decision and its reason, a push's refs and commits, gaps and the end", async () => {
    const { page, close } = await opened(good);
    await page.waitForSelector("#evidence");
    expect(await page.locator(".row:visible .name").allInnerTexts()).toEqual([
      "session start",
      "git.refs",
      "git.refs",
      "git.push",
      "gap",
      "session end",
    ]);
    await page.locator(".row", { hasText: "git.push" }).locator("summary").first().click();
    // A row is opened before what is in it has been read.
    await page.locator(".row[open]", { hasText: "Commits in the pack (3)" }).waitFor();
    const text = await page.locator(".row[open]").textContent();
    expect(text).toContain("refs/heads/main");
    expect(text).toMatch(/Allowed[\s\S]*p0/);
    await close();
  });

  test("is searched in bodies too, filtered, and walked and opened with the keyboard", async () => {
    const { page, close } = await opened(good);
    await page.waitForSelector("#evidence");
    await page.keyboard.press("/");
    await page.keyboard.type("NEEDLE in");
    await page.waitForFunction(
      () => document.querySelector(".timeline [role=status]")?.textContent === "1 of 6 events",
    );
    await page.fill("#search", "");
    await page.locator(".kinds", { hasText: "Denied" }).locator("label", { hasText: "Denied" }).click();
    expect(await page.locator(".row:visible .chip").allInnerTexts()).toEqual(["denied"]);
    await page.locator(".kinds label", { hasText: "Everything" }).click();
    await page.locator(".row summary").first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    expect(await page.locator(".row[open] .decision").textContent()).toContain("Denied");
    await close();
  });

  test("saves a body exactly as it passed, under a name of its own", async () => {
    const { page, close } = await opened(good);
    await page.waitForSelector("#evidence");
    await page.locator(".row summary").nth(1).click();
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      page.click(".row[open] .body >> text=Save"),
    ]);
    expect(saved.suggestedFilename()).toMatch(/^exc_\w+-response\.bin$/);
    expect(readFileSync(await saved.path(), "utf8")).toBe("the needle in a body\n");
    await close();
  });
});

test("a browser's tools read the HAR: requests are answered from it as they were recorded", async () => {
  const har = join(home.path, "session.har");
  const terminal = { env: {}, out: () => undefined, err: () => undefined };
  const args = [join(home.path, "good"), "--har", "--session", recording.session, "-o", har];
  expect(await exportSession(args, terminal)).toBe(0);
  const context = await browser.newContext();
  await context.routeFromHAR(har, { notFound: "abort" });
  const page = await context.newPage();
  const answer = await page.goto("http://none.connection.invalid/app/info/refs");
  expect([answer?.status(), await answer?.text()]).toEqual([200, "the needle in a body\n"]);
  await expect(page.goto("http://none.connection.invalid/other")).rejects.toThrow();
  await context.close();
});

test("whatever a recording says, in any field, is text: nothing of it runs, loads, hides or turns what is around it", async () => {
  const evil =
    '</script><img src=x onerror="window.pwned=1"><svg onload=pwned=2>\u202egnp.exe\u2066\u200b\u0007';
  const hostileArchive = new Archive();
  const bad = hostileArchive.session(8);
  bad.write({
    k: "session.start",
    session: bad.session,
    client: evil,
    conversation: evil,
    principal: { issuer: evil, subject: evil, name: evil, groups: [evil], agent: evil },
  });
  await bad.head("open");
  for (const frame of hostileFrames(bad.exchange(), evil)) bad.write(frame);
  bad.text(bad.exchange(), "s2c", 0, "");
  await bad.close();
  const { page, said, asked, close } = await opened(await exportOf("hostile", hostileArchive, bad.session));
  await page.waitForSelector("#timeline");
  for (const summary of await page.locator(".row > summary").all()) await summary.click();
  await page.evaluate(() => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
  const found = await page.evaluate(() => ({
    pwned: (globalThis as { pwned?: unknown }).pwned,
    tags: document.querySelectorAll("img, svg, iframe, object, embed").length,
    scripts: document.querySelectorAll("script").length,
    text: document.querySelector("main")?.textContent ?? "",
  }));
  expect(found).toMatchObject({ tags: 0, scripts: 1 });
  expect(found.pwned).toBeUndefined();
  expect(found.text.split("</script><img src=x onerror").length).toBeGreaterThan(20);
  for (const letter of "\u202e\u2066\u200b\u0007") expect(found.text).not.toContain(letter);
  expect(found.text).toContain("⟨U+202E⟩gnp.exe⟨U+2066⟩⟨U+200B⟩⟨U+0007⟩");
  expect([said, asked]).toEqual([[], []]);
  await close();
});
