import { execFileSync } from "node:child_process";
import { createPrivateKey, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PAYLOAD_TYPE } from "#durable/format/head.ts";
import { fromBase64, fromHex, readUtf8, sha256, toBase64, toHex, utf8 } from "#durable/proof/bytes.ts";
import { derToP1363, openEnvelope, p1363ToDer, pae, signEnvelope } from "#durable/proof/dsse.ts";
import { importSealKey, KeyUnreadable, readPem, toPem } from "#durable/proof/key.ts";
import { makeTlogEntry } from "#durable/proof/log/bundle.ts";
import {
  encodeBundle,
  makeBundle,
  makeSignedHead,
  openBundle,
  openHead,
  stampedBytes,
  stampOf,
} from "#durable/proof/seal.ts";
import golden from "../../vectors/golden.json" with { type: "json" };

const spki = fromBase64(golden.sealSpkiB64) ?? new Uint8Array();
const payload = utf8(golden.payload);
const envelope = {
  payload: toBase64(payload),
  payloadType: PAYLOAD_TYPE,
  signatures: [{ sig: golden.sigDerB64 }],
} as const;
const head = makeSignedHead({ ...envelope, signatures: [{ sig: golden.sigDerB64 }] }, spki);
const leaf = fromHex(golden.entryLeaf) ?? new Uint8Array();
const bundle = makeBundle(
  head,
  makeTlogEntry({
    index: 0,
    body: utf8(golden.entryBody),
    size: 1,
    root: leaf,
    proof: [],
    note: golden.checkpointNote,
    logId: "",
  }),
);

describe("DSSE", () => {
  test("the golden head has its pre-authentication encoding, and its DER signature verifies", async () => {
    expect(toHex(sha256(pae(PAYLOAD_TYPE, payload)))).toBe(golden.paeSha256);
    const { key } = await importSealKey(spki);
    const opened = await openEnvelope({ ...envelope, signatures: [{ sig: golden.sigDerB64 }] }, key);
    expect(opened && toHex(opened)).toBe(toHex(payload));
  });

  test("the encoding counts bytes, not characters", () => {
    expect(new TextDecoder().decode(pae("té", utf8("ö")))).toBe("DSSEv1 3 té 2 ö");
  });

  test("openssl verifies what we sign", async () => {
    const { privateKey, publicKey } = (await crypto.subtle.generateKey(
      { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["sign", "verify"],
    )) as CryptoKeyPair;
    const ours = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
    const signed = await signEnvelope(
      payload,
      async (bytes) =>
        new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, bytes)),
    );
    const folder = mkdtempSync(join(tmpdir(), "steno-"));
    writeFileSync(join(folder, "seal.pub"), toPem(ours));
    writeFileSync(join(folder, "sig"), fromBase64(signed.signatures[0].sig) ?? "");
    writeFileSync(join(folder, "pae"), pae(PAYLOAD_TYPE, payload));
    const said = execFileSync(
      "openssl",
      ["dgst", "-sha256", "-verify", "seal.pub", "-signature", "sig", "pae"],
      {
        cwd: folder,
        encoding: "utf8",
      },
    );
    rmSync(folder, { recursive: true });
    expect(said.trim()).toBe("Verified OK");
  });

  test("any r‖s goes to DER and back, and any other DER is no signature", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(), (raw, at) => {
        const der = p1363ToDer(raw);
        const again = derToP1363(der);
        const bent = der.slice();
        bent[at % 4] = (bent[at % 4] ?? 0) ^ 0x40;
        return again !== undefined && toHex(again) === toHex(raw) && derToP1363(bent) === undefined;
      }),
    );
    expect(derToP1363(new Uint8Array())).toBeUndefined();
    expect(derToP1363(fromHex("3008020200010202 0001".replace(" ", "")) ?? new Uint8Array())).toBeUndefined();
  });

  test("small and large r and s agree with openssl's own DER", () => {
    const jwk = { kty: "EC", crv: "P-256", ...pointOf(spki), d: toBase64Url(fromHex(golden.sealKeySeedHex)) };
    const key = createPrivateKey({ key: jwk, format: "jwk" });
    for (let i = 0; i < 300; i++) {
      const message = utf8(`message ${i}`);
      const der = sign("sha256", message, key);
      expect(toHex(p1363ToDer(derToP1363(der) ?? new Uint8Array(64)))).toBe(toHex(der));
    }
  });
});

describe("the seal key", () => {
  test("a PEM written is the PEM read, and openssl writes the same", () => {
    expect(toHex(readPem(toPem(spki)))).toBe(toHex(spki));
    const written = execFileSync("openssl", ["pkey", "-pubin", "-pubout"], {
      input: toPem(spki),
      encoding: "utf8",
    });
    expect(written).toBe(toPem(spki));
  });

  test.each([
    ["nothing", ""],
    ["text", "hello"],
    [
      "another curve",
      "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAgTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=\n-----END PUBLIC KEY-----\n",
    ],
    ["damaged base64", toPem(spki).replace("M", "*")],
  ])("%s is refused", (_, text) => {
    expect(() => readPem(text)).toThrow(KeyUnreadable);
  });

  test("a point that is not on the curve is refused", async () => {
    const bent = spki.slice();
    bent[90] = (bent[90] ?? 0) ^ 1;
    await expect(importSealKey(bent)).rejects.toThrow(KeyUnreadable);
  });
});

describe("the bundle", () => {
  test("a bundle read is the bundle written", () => {
    expect(openBundle(encodeBundle(bundle))).toEqual(bundle);
  });

  test("one with a timestamp is read as it was written, and gives what it is over", () => {
    const [entry] = bundle.verificationMaterial.tlogEntries;
    const stamped = makeBundle(head, entry, utf8("token"));
    const text = readUtf8(encodeBundle(stamped)) ?? "";
    const read = openBundle(utf8(text));
    if (typeof read === "string") throw new Error(read);
    expect(read).toEqual(stamped);
    expect(readUtf8(stampOf(read) ?? new Uint8Array())).toBe("token");
    expect(toBase64(stampedBytes(read))).toBe(golden.sigDerB64);
    expect(stampOf(bundle)).toBeUndefined();
    const signed = '{"signedTimestamp":"dG9rZW4="}';
    for (const other of ['{"signedTimestamp":"dG9rZW5="}', "", `${signed},${signed}`])
      expect(typeof openBundle(utf8(text.replace(signed, other))), other).toBe("string");
  });

  test.each([
    ["a space more", (text: string) => text.replace(",", ", ")],
    ["an unknown member", (text: string) => text.replace("{", '{"x":1,')],
    ["another media type", (text: string) => text.replace("v0.3", "v0.4")],
    ["two signatures", (text: string) => text.replace('[{"sig"', '[{"sig":""},{"sig"')],
    ["half of it", (text: string) => text.slice(0, text.length / 2)],
    ["nothing", () => ""],
    [
      "members in another order",
      (text: string) =>
        text
          .replace('"logIndex":"0","rootHash"', '"rootHash"')
          .replace('"treeSize"', '"logIndex":"0","treeSize"'),
    ],
    ["no place in the log", () => JSON.stringify(head)],
    [
      "two places in the log",
      (text: string) => text.replace(/("tlogEntries":\[)(.*?)(\]\},"dsse)/, "$1$2,$2$3"),
    ],
  ])("%s is said, not thrown", (_, change) => {
    expect(typeof openBundle(utf8(change(JSON.stringify(bundle))))).toBe("string");
  });

  test("a payload that is no head of ours is malformed even when its signature holds", async () => {
    const opened = await openHead(encodeBundle(bundle), await importSealKey(spki));
    expect(opened.wrong?.code).toBe("head_malformed");
  });
});

describe("decoders", () => {
  test("hex and base64 have one text for one value", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (bytes, text) => {
        const hex = fromHex(text);
        const base64 = fromBase64(text);
        return (
          toHex(fromHex(toHex(bytes)) ?? utf8("no")) === toHex(bytes) &&
          toBase64(fromBase64(toBase64(bytes)) ?? utf8("no")) === toBase64(bytes) &&
          (hex === undefined || toHex(hex) === text) &&
          (base64 === undefined || toBase64(base64) === text)
        );
      }),
    );
    expect(fromHex("AB")).toBeUndefined();
    expect(fromBase64("AB==")).toBeUndefined();
    expect(fromBase64("_w==")).toBeUndefined();
  });
});

const toBase64Url = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("base64url");

function pointOf(key: Uint8Array): { x: string; y: string } {
  return { x: toBase64Url(key.subarray(27, 59)), y: toBase64Url(key.subarray(59, 91)) };
}
