/** RFC 3161: what we ask and read, held against openssl and against every byte that is changed. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bytes, concat, equal, sha256, utf8 } from "#durable/proof/bytes.ts";
import { type Certificate, readCertificates, readChain } from "#durable/proof/timestamp/certificate.ts";
import { Malformed, oidOf, readDer, timeOf, writeDer } from "#durable/proof/timestamp/der.ts";
import { nonceOf, writeQuery } from "#durable/proof/timestamp/query.ts";
import { wrongSignature } from "#durable/proof/timestamp/signature.ts";
import { readToken, wrongDigest } from "#durable/proof/timestamp/token.ts";
import { type MemoryTsa, memoryTsa, pemOf } from "#test/support/memory-tsa.ts";
import { workspace } from "#test/support/servers/children.ts";
import { makeTsa, opensslVerifies, replyTo, type TsaFiles } from "#test/support/servers/tsa.ts";
import golden from "../../vectors/golden.json" with { type: "json" };
import vector from "../../vectors/timestamp.json" with { type: "json" };

const home = workspace("timestamps");
afterAll(() => home.remove());

const DATA = utf8("a checkpoint\n");
const NONCE = nonceOf(sha256(DATA));
const QUERY = writeQuery(sha256(DATA), NONCE);

type Real = { readonly files: TsaFiles; readonly reply: Bytes; readonly trusted: readonly Certificate[] };
let ec: Real;
let rsa: Real;
let memory: MemoryTsa;
let ours: Bytes;

const certificates = (path: string): readonly Certificate[] => {
  const read = readCertificates(readFileSync(path, "utf8"));
  if (typeof read === "string") throw new Error(read);
  return read;
};

function real(kind: "ec" | "rsa"): Real {
  const files = makeTsa(join(home.path, kind), kind);
  return { files, reply: new Uint8Array(replyTo(files, QUERY)), trusted: certificates(files.root) };
}

beforeAll(async () => {
  [ec, rsa] = [real("ec"), real("rsa")];
  memory = await memoryTsa({ now: () => Date.now() });
  ours = await memory.answer(QUERY);
});

/** What is wrong with a reply over the data, whoever is trusted. */
async function wrong(
  reply: Bytes,
  trusted: readonly Certificate[],
  data = DATA,
): Promise<string | undefined> {
  const token = readToken(reply);
  if (typeof token === "string") return token;
  return wrongDigest(token, data) ?? (await wrongSignature(token, trusted));
}

describe("against openssl", () => {
  test("it reads our request as one for SHA-256, with the nonce and the certificate", () => {
    writeFileSync(join(home.path, "query"), QUERY);
    const said = execFileSync("openssl", ["ts", "-query", "-in", "query", "-text"], {
      cwd: home.path,
      encoding: "utf8",
    });
    expect(said).toContain("Hash Algorithm: sha256");
    expect(said).toContain("Certificate required: yes");
    expect(said.toLowerCase()).toContain(`nonce: 0x${Buffer.from(NONCE).toString("hex")}`);
  });

  test.each(["ec", "rsa"])(
    "its tokens, signed with %s, hold for its root and for its own certificate",
    async (kind) => {
      const { files, reply, trusted } = kind === "ec" ? ec : rsa;
      expect(await wrong(reply, trusted)).toBeUndefined();
      expect(await wrong(reply, certificates(files.chain).slice(0, 1))).toBeUndefined();
      const token = readToken(reply);
      if (typeof token === "string") throw new Error(token);
      expect(token).toMatchObject({ policy: "1.2.3.4.1", nonce: NONCE, digest: sha256(DATA) });
      expect(Math.abs(token.at - Date.now())).toBeLessThan(60_000);
      expect(await readChain(readFileSync(files.chain, "utf8"))).toHaveLength(2);
    },
  );

  test("it accepts the tokens of the authority that our other tests ask", () => {
    const root = join(home.path, "memory.pem");
    writeFileSync(root, pemOf({ chain: memory.chain.slice(1) }));
    const files = { ...ec.files, root };
    expect(opensslVerifies(files, ours, DATA)).toBe(true);
    expect(opensslVerifies(files, ours, utf8("another"))).toBe(false);
  });

  test("both refuse a token that was changed where it is signed, and one over other bytes", async () => {
    const { files, reply, trusted } = ec;
    const token = readToken(reply);
    if (typeof token === "string") throw new Error(token);
    expect(opensslVerifies(files, reply, DATA)).toBe(true);
    expect(opensslVerifies(files, reply, utf8("another"))).toBe(false);
    expect(await wrong(reply, trusted, utf8("another"))).toMatch(/it is over other bytes/);
    for (const [part, at] of [
      [token.said, 40],
      [token.said, token.said.byteLength - 1],
      [token.signed.attributes.slice(4), 20],
      [token.signed.signature, 20],
    ] as const) {
      const bent = changed(reply, indexOf(reply, part) + at);
      expect(opensslVerifies(files, bent, DATA), `${at}`).toBe(false);
      expect(await wrong(bent, trusted), `${at}`).toBeDefined();
    }
  });
});

const indexOf = (bytes: Bytes, part: Bytes): number => Buffer.from(bytes).indexOf(part);
function changed(bytes: Bytes, at: number, by = 1): Bytes {
  const bent = bytes.slice();
  bent[at] = (bent[at] ?? 0) ^ by;
  return bent;
}

test("the stored request and token of the golden checkpoint are written and read as they are", async () => {
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
  const note = utf8(golden.checkpointNote);
  const nonce = new Uint8Array(Buffer.from(vector.nonceHex, "hex"));
  expect(writeQuery(sha256(note), nonce)).toEqual(bytes(vector.queryB64));
  const token = readToken(bytes(vector.replyB64));
  if (typeof token === "string") throw new Error(token);
  expect(token).toMatchObject({ policy: vector.policy, at: Date.parse(vector.at), nonce });
  const root = readCertificates(vector.rootPem);
  if (typeof root === "string") throw new Error(root);
  expect(await wrong(bytes(vector.replyB64), root, note)).toBeUndefined();
});

describe("a token", () => {
  test("whatever byte of it is changed, it is refused or says the same, and nothing throws", async () => {
    const token = readToken(ours);
    if (typeof token === "string") throw new Error(token);
    for (let at = 0; at < ours.byteLength; at++) {
      const bent = changed(ours, at, 1 << (at % 8));
      const read = readToken(bent);
      if (typeof read === "string") continue;
      const accepted = (wrongDigest(read, DATA) ?? (await wrongSignature(read, memory.chain))) === undefined;
      const same = equal(read.said, token.said) && equal(read.signed.attributes, token.signed.attributes);
      expect(!accepted || same, `byte ${at}`).toBe(true);
    }
  });

  test("any bytes are a token or are told what they are not", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        (bytes) => typeof readToken(new Uint8Array(bytes)) === "string",
      ),
    );
    fc.assert(
      fc.property(fc.nat(ours.byteLength - 1), fc.uint8Array({ maxLength: 8 }), (at, put) => {
        readToken(concat([ours.slice(0, at), put, ours.slice(at + put.length)]));
        readToken(ours.slice(0, at));
        return typeof readToken(concat([ours, put])) === (put.length === 0 ? "object" : "string");
      }),
    );
  });

  test.each([
    ["refuses", /refused with status 2: "not today"/],
    ["another digest", /it is over other bytes/],
    ["a bad signature", /its signature does not hold/],
  ] as const)("of an authority in the mood %s is refused, and it is said why", async (mood, why) => {
    const tsa = await memoryTsa({ now: () => Date.now() });
    tsa.mood = mood;
    expect(await wrong(await tsa.answer(QUERY), tsa.chain)).toMatch(why);
  });

  test("is held against who is trusted: not another's, not beyond its certificate, not one for other uses", async () => {
    const other = await memoryTsa({ now: () => Date.now() });
    expect(await wrong(ours, other.chain)).toMatch(/not from who is trusted/);
    expect(await wrong(ours, other.chain.slice(1))).toMatch(/not from who is trusted/);
    expect(await wrong(ours, memory.chain.slice(1))).toBeUndefined();
    const late = await memoryTsa({ now: () => Date.now(), until: Date.UTC(2021, 0, 1) });
    expect(await wrong(await late.answer(QUERY), late.chain)).toMatch(/not valid at its time/);
    const unfit = await memoryTsa({ now: () => Date.now(), unfit: true });
    expect(await wrong(await unfit.answer(QUERY), unfit.chain)).toMatch(/not for timestamps/);
    expect(await readChain(pemOf(unfit))).toMatch(/not an authority's/);
  });

  test("without anybody trusted, it is held against the bytes alone", async () => {
    const tsa = await memoryTsa({ now: () => Date.now() });
    tsa.mood = "a bad signature";
    expect(await wrong(await tsa.answer(QUERY), [])).toBeUndefined();
    expect(await wrong(await tsa.answer(QUERY), [], utf8("another"))).toMatch(/it is over other bytes/);
  });
});

describe("a chain", () => {
  test.each([
    ["nothing", () => "", /no certificate/],
    ["its own alone", () => pemOf({ chain: memory.chain.slice(0, 1) }), /append its issuer's/],
    ["its issuer first", () => pemOf({ chain: memory.chain.toReversed() }), /not an authority's/],
    ["damaged base64", () => pemOf(memory).replace("\n", "\nA"), /certificate 1: /],
  ] as [string, () => string, RegExp][])("of %s is refused", async (_, pem, why) => {
    expect(await readChain(pem())).toMatch(why);
  });

  test("whose issuer has the name and not the key is refused", async () => {
    const other = await memoryTsa({ now: () => Date.now() });
    const [own] = memory.chain;
    const [, root] = other.chain;
    if (!own || !root) throw new Error("no chain");
    expect(await readChain(pemOf({ chain: [own, root] }))).toMatch(
      /signature of certificate 1 does not hold/,
    );
  });
});

describe("DER", () => {
  test("a value written is the value read, and no other bytes are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (content) => {
        const whole = writeDer(0x04, new Uint8Array(content));
        const read = readDer(whole);
        return equal(read.content, new Uint8Array(content)) && equal(read.whole, whole);
      }),
    );
    for (const hex of ["", "04", "0481", "048100", "04820001ff", "0480ff0000", "1f8100", "0401", "04000400"])
      expect(() => readDer(new Uint8Array(Buffer.from(hex, "hex"))), hex).toThrow(Malformed);
  });

  test("times and object identifiers have one text each", () => {
    const time = (tag: number, text: string) => timeOf(readDer(writeDer(tag, utf8(text))), "time");
    expect(time(0x18, "20261126082059.5Z")).toBe(Date.UTC(2026, 10, 26, 8, 20, 59, 500));
    expect(time(0x17, "261126082059Z")).toBe(Date.UTC(2026, 10, 26, 8, 20, 59));
    for (const text of ["20260230000000Z", "20261126082059", "20261126082059.0Z", "2026112608Z"])
      expect(() => time(0x18, text), text).toThrow(Malformed);
    const oid = (...octets: number[]) => oidOf(readDer(writeDer(0x06, new Uint8Array(octets))));
    expect(oid(0x2a, 0x86, 0x48)).toBe("1.2.840");
    expect(oid(0x88, 0x37)).toBe("2.999");
    for (const octets of [[], [0x80, 1], [0x2a, 0x86]]) expect(() => oid(...octets)).toThrow(Malformed);
  });
});
