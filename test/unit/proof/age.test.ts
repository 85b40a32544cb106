// age files: the vectors of the format's author, our writer against the library and the stock program, and damage.
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from "age-encryption";
import * as cctv from "cctv-age";
import { afterAll, describe, expect, test } from "vitest";
import { openFile, readIdentities } from "#durable/proof/age/open.ts";
import { openPayload, payloadSize, sealFile } from "#durable/proof/age/stream.ts";
import { AgeUnreadable } from "#durable/proof/age/unreadable.ts";
import { sha256, toHex, utf8 } from "#durable/proof/bytes.ts";
import { makeEnvelope, makeSessionKey, wrapIdentity, wrongRecipients } from "#durable/store/keys/envelope.ts";

const home = mkdtempSync(join(tmpdir(), "steno-age-"));
afterAll(() => rmSync(home, { recursive: true }));
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(home, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);
const random = (length: number) => new Uint8Array(randomBytes(length));
const bytes = (length: number) => new Uint8Array(randomBytes(length));

/** 0 and 1 bytes, and around the borders of one, two and three chunks. */
const SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 200_000];

/** A vector: lines of `name: value`, an empty line, the file. */
function vectorOf(raw: Uint8Array) {
  const at = Buffer.from(raw).indexOf("\n\n");
  const lines = Buffer.from(raw.subarray(0, at)).toString("utf8").split("\n");
  const said = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]),
  );
  const body = raw.subarray(at + 2);
  return { said, file: said.has("compressed") ? new Uint8Array(inflateSync(body)) : new Uint8Array(body) };
}

/** Armour and passphrases are not read here: no session has either. */
const VECTORS = Object.entries((cctv as { default?: Record<string, Uint8Array> }).default ?? cctv)
  .map(([name, raw]) => ({ name, ...vectorOf(raw as Uint8Array) }))
  .filter(({ said }) => !said.has("armored") && !said.has("passphrase"));

test("there are vectors, of good files and of bad ones", () => {
  expect(VECTORS.filter(({ said }) => said.get("expect") === "success").length).toBeGreaterThan(10);
  expect(VECTORS.filter(({ said }) => said.get("expect") !== "success").length).toBeGreaterThan(30);
});

test.each(VECTORS)("the vector $name is opened, or is not, as it says", async ({ said, file }) => {
  const opened = await openFile(file, [said.get("identity") ?? identity]).catch((error: unknown) => error);
  if (said.get("expect") !== "success") return expect(opened).toBeInstanceOf(AgeUnreadable);
  expect(toHex(sha256(opened as Uint8Array))).toBe(said.get("payload"));
});

describe.each(SIZES)("%i bytes", (size) => {
  const plain = bytes(size);
  const parts = [plain.subarray(0, size >> 1), plain.subarray(size >> 1)];

  test("are opened by the library and by us, and the same envelope gives the same file", async () => {
    const envelope = await makeEnvelope(recipient, random);
    const sealed = sealFile(envelope, parts, size);
    expect(sealed).toEqual(sealFile(envelope, [plain], size));
    expect(sealed.byteLength).toBe(envelope.header.byteLength + payloadSize(size));
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    expect(await decrypter.decrypt(sealed)).toEqual(plain);
    expect(await openFile(sealed, [identity])).toEqual(plain);
  });

  test("that the library encrypted are opened by us", async () => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    expect(await openFile(new Uint8Array(await encrypter.encrypt(plain)), [identity])).toEqual(plain);
  });
});

test("Debian's age opens what we write, and we open what it writes", async () => {
  const plain = bytes(150_000);
  const sealed = sealFile(await makeEnvelope(recipient, random), [plain], plain.byteLength);
  const key = file("identity", `# created for a test\n${identity}\n`);
  const opened = execFileSync("age", ["-d", "-i", key, file("ours.age", sealed)], { maxBuffer: 1 << 20 });
  expect(new Uint8Array(opened)).toEqual(plain);
  const theirs = spawnSync("age", ["-r", recipient], { input: plain, maxBuffer: 1 << 20 });
  expect(
    await openFile(new Uint8Array(theirs.stdout), readIdentities(`# a comment\n\n${identity}\r\n`)),
  ).toEqual(plain);
});

test("a session's key is opened by each auditor, with Debian's age too, and by nobody else", async () => {
  const others = [await generateX25519Identity(), await generateX25519Identity()];
  const to = await Promise.all([identity, ...others].map(identityToRecipient));
  const { recipient: own, wrapped } = await makeSessionKey(to);
  for (const auditor of [identity, ...others]) {
    const path = file("auditor", auditor);
    const text = execFileSync("age", ["-d", "-i", path], { input: wrapped, encoding: "utf8" });
    expect(await identityToRecipient(text.trim())).toBe(own);
  }
  const stranger = await generateX25519Identity();
  await expect(openFile(wrapped, [stranger])).rejects.toThrow(AgeUnreadable);
});

test("post-quantum auditors get post-quantum sessions", async () => {
  const auditor = await generateHybridIdentity();
  const { recipient: own, wrapped } = await makeSessionKey([await identityToRecipient(auditor)]);
  expect(own).toMatch(/^age1pq1/);
  const [session = ""] = readIdentities(Buffer.from(await openFile(wrapped, [auditor])).toString());
  const sealed = sealFile(await makeEnvelope(own, random), [utf8("frames")], 6);
  expect(await openFile(sealed, [session])).toEqual(utf8("frames"));
});

test("a file with any byte changed, cut off or added is not opened", async () => {
  const plain = bytes(70_000);
  const sealed = sealFile(await makeEnvelope(recipient, random), [plain], plain.byteLength);
  const bent = [
    ...[0, 30, 60, 120, 190, 205, 240, 65_800, sealed.length - 1].map((at) => {
      const copy = sealed.slice();
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    }),
    ...[0, 10, 100, 150, 216, 300, 65_700, sealed.length - 1].map((length) => sealed.slice(0, length)),
    new Uint8Array([...sealed, 0]),
  ];
  for (const each of bent) await expect(openFile(each, [identity])).rejects.toThrow(AgeUnreadable);
});

test("sealing more or fewer bytes than were announced throws", async () => {
  const envelope = await makeEnvelope(recipient, random);
  expect(() => sealFile(envelope, [bytes(10)], 9)).toThrow(RangeError);
  expect(() => sealFile(envelope, [bytes(10)], 11)).toThrow(RangeError);
});

test("no payload makes opening it throw", () => {
  for (const length of [0, 1, 15, 16, 31, 32, 65_568, 65_569, 65_584])
    expect(openPayload(random(16), bytes(length))).toBeUndefined();
});

test("an identity file that holds none says so without repeating a line of it", async () => {
  expect(() => readIdentities("# nothing\n")).toThrow("there is no identity");
  const slip = `${identity.slice(0, -1)}`;
  const error = (() => {
    try {
      return readIdentities(slip);
    } catch (thrown) {
      return thrown as Error;
    }
  })();
  expect(String(error)).not.toContain(slip.slice(20, 40));
  expect(await wrapIdentity(identity, [recipient])).toBeInstanceOf(Uint8Array);
  expect(wrongRecipients([recipient])).toBeUndefined();
});
