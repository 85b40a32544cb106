/** Attestations: written one way, read strictly, never taken for heads, and what the verifier says of bad ones. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mintApprovalId, mintSessionId, mintStandingId } from "#durable/format/ids.ts";
import { entryKey } from "#durable/format/layout.ts";
import { type Attestation, attestationType, KINDS } from "#durable/format/log/attestation.ts";
import { encodeAttestation, factsDigest, readAttestation } from "#durable/proof/attestation.ts";
import { type Bytes, readUtf8, toHex, utf8 } from "#durable/proof/bytes.ts";
import { signEnvelope } from "#durable/proof/dsse.ts";
import { importSealKey } from "#durable/proof/key.ts";
import { makeSignedHead, openHead, openSaid, type SignedHead } from "#durable/proof/seal.ts";
import { readStatement } from "#durable/proof/statement.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import stored from "../../vectors/attestations.json" with { type: "json" };
import { inlineSession, now } from "./corpus.ts";
import { Archive, fill, ORIGIN, SPKI, START, signer, source } from "./recording.ts";

const vectors: Readonly<Record<string, string>> = stored;
const hex = (letter: string): string => letter.repeat(64);
const session = mintSessionId(START, fill(10, 0));
const by = `hmac:${hex("a")}`;
const told = { origin: ORIGIN, at: START };

const VKEYS = { log: "seal-2027.gw.example+aabbccdd+AQID", logPq: "seal-2027.gw.example+aabbccdd+BAUG" };

const EXAMPLES: { readonly [K in Attestation["kind"]]: Attestation & { readonly kind: K } } = {
  "key-event": { kind: "key-event", event: "end", successor: { origin: "seal-2027.gw.example", ...VKEYS } },
  "break-glass": { kind: "break-glass", session, approval: mintApprovalId(START, fill(10, 1)), by },
  "standing-approval": {
    kind: "standing-approval",
    standing: mintStandingId(START, fill(10, 2)),
    event: "grant",
    by,
    scopeSha256: hex("e"),
    until: new Date(START + 7_200_000).toISOString(),
  },
  "policy-change": { kind: "policy-change", set: hex("b"), session },
  "storage-probe": {
    kind: "storage-probe",
    archive: "s3",
    grade: "limited",
    reasons: ["a second put of a key was accepted"],
    results: [{ name: "second-put", outcome: "failed", said: "200" }],
  },
  erasure: { kind: "erasure", session, by, keySha256: hex("c"), reason: "DSR-2026-017", state: "done" },
  "legal-hold": { kind: "legal-hold", session, by, reason: "case/88", state: "set" },
  read: { kind: "read", session, by, what: "export" },
  index: {
    kind: "index",
    date: "2026-11-22",
    objects: [{ name: "index/date=2026-11-22/part-0.parquet", sha256: hex("d"), bytes: 9, rows: 1 }],
  },
};

describe.each(KINDS)("%s", (kind) => {
  const example = EXAMPLES[kind];
  const bytes = encodeAttestation(example, told);

  test("is read as it was written", () => {
    const { kind: _, ...facts } = example;
    const madeAt = new Date(START).toISOString();
    expect(readAttestation(bytes)).toEqual({ kind, predicate: { origin: ORIGIN, madeAt, ...facts } });
  });

  test("is, to the byte, its vector", () => {
    expect(readUtf8(bytes)).toBe(vectors[kind]);
  });

  test("is no head, and no head is one", () => {
    expect(typeof readStatement(bytes)).toBe("string");
    expect(readAttestation(utf8(readUtf8(bytes)?.replace(attestationType(kind), "x") ?? ""))).toBeUndefined();
  });

  test("with a member more, one less, or in other words is not read", () => {
    const json = JSON.parse(readUtf8(bytes) ?? "") as { predicate: object; subject: unknown[] };
    const { predicate } = json;
    const bent = [
      { ...json, predicate: { ...predicate, name: "Alice" } },
      { ...json, more: 1 },
      { ...json, subject: [...json.subject, { name: "x", digest: { sha256: hex("0") } }] },
      ...Object.keys(predicate).map((gone) => ({
        ...json,
        predicate: Object.fromEntries(Object.entries(predicate).filter(([name]) => name !== gone)),
      })),
    ];
    for (const each of bent) expect(typeof readAttestation(utf8(JSON.stringify(each)))).toBe("string");
    expect(typeof readAttestation(utf8(JSON.stringify(json, null, 1)))).toBe("string");
  });
});

test("facts are the same at another time, and others are not", () => {
  const digests = KINDS.map((kind) => toHex(factsDigest(EXAMPLES[kind])));
  expect(new Set(digests).size).toBe(KINDS.length);
  expect(toHex(factsDigest({ ...EXAMPLES.erasure }))).toBe(digests[KINDS.indexOf("erasure")]);
  const other = { ...EXAMPLES.erasure, keySha256: hex("e") } as Attestation;
  expect(digests).not.toContain(toHex(factsDigest(other)));
});

test("no bytes make the reader throw", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.json().map(utf8)), (bytes) => {
      expect(readAttestation(bytes)).toBeUndefined();
    }),
  );
});

const signed = async (payload: Bytes): Promise<SignedHead> =>
  makeSignedHead(await signEnvelope(payload, signer), SPKI);

async function archiveWith(...payloads: readonly Bytes[]): Promise<Archive> {
  const archive = new Archive();
  await inlineSession(archive);
  for (const payload of payloads) await archive.append(await signed(payload));
  return archive;
}
const foundIn = async (archive: Archive): Promise<string[]> =>
  (await verifyArchive(source(archive.objects), { now })).findings.map(
    ({ code, object }) => `${code} ${object}`,
  );

/** The session of `inlineSession`: the one the log knows. */
const known = async () => (await inlineSession(new Archive())).session;

describe("in a log", () => {
  test("every kind beside the heads is no finding", async () => {
    const of = await known();
    // What a log says of its own beginning and end has its places.
    const payloads = KINDS.filter((kind) => kind !== "key-event").map((kind) => {
      const example = EXAMPLES[kind];
      return encodeAttestation("session" in example ? { ...example, session: of } : example, told);
    });
    expect(await foundIn(await archiveWith(...payloads))).toEqual([]);
  });

  const cases: readonly (readonly [string, () => Promise<Bytes>, string])[] = [
    [
      "of a kind nobody knows",
      async () =>
        utf8(readUtf8(encodeAttestation(EXAMPLES.index, told))?.replace(":index:v1", ":index:v2") ?? ""),
      "attestation_unknown",
    ],
    [
      "that is not as its kind is",
      async () =>
        utf8(readUtf8(encodeAttestation(EXAMPLES.index, told))?.replace('"rows":1', '"rows":-1') ?? ""),
      "attestation_malformed",
    ],
    [
      "made in another log",
      async () => encodeAttestation(EXAMPLES.index, { ...told, origin: "other.example" }),
      "attestation_origin",
    ],
    [
      "of a session that has no head",
      async () =>
        encodeAttestation(
          { ...EXAMPLES.read, session: mintSessionId(START, fill(10, 99)) } as Attestation,
          told,
        ),
      "attestation_contradicts",
    ],
    [
      "of a policy change after one that the log does not have",
      async () =>
        encodeAttestation(
          { kind: "policy-change", set: hex("b"), before: hex("f"), session: await known() },
          told,
        ),
      "attestation_contradicts",
    ],
    ["that is no statement at all", async () => utf8("{}"), "head_malformed"],
  ];
  test.each(cases)("one %s is found, and nothing else", async (_, payload, code) => {
    expect(await foundIn(await archiveWith(await payload()))).toEqual([`${code} ${entryKey(2)}`]);
  });

  test("one that another key signed is found, and believed in nothing", async () => {
    const archive = new Archive();
    await inlineSession(archive);
    const other = new Uint8Array(SPKI);
    const head = makeSignedHead(await signEnvelope(encodeAttestation(EXAMPLES.index, told), signer), SPKI);
    const hint = makeSignedHead(head.dsseEnvelope, other.fill(1)).verificationMaterial;
    await archive.append({ ...head, verificationMaterial: hint });
    expect(await foundIn(archive)).toEqual([`attestation_key ${entryKey(2)}`]);
    const bent = new Archive();
    await inlineSession(bent);
    const forged = encodeAttestation({ ...EXAMPLES.index, date: "2026-11-23" } as Attestation, told);
    const envelope = { ...head.dsseEnvelope, payload: Buffer.from(forged).toString("base64") };
    await bent.append({ ...head, dsseEnvelope: envelope });
    expect(await foundIn(bent)).toEqual([`attestation_signature ${entryKey(2)}`]);
  });

  test("one in the place of a seal is no seal", async () => {
    const archive = await archiveWith(encodeAttestation(EXAMPLES.index, told));
    const bytes = archive.objects.get(entryKey(2)) ?? new Uint8Array();
    const key = await importSealKey(SPKI);
    expect(await openSaid(bytes, key)).toMatchObject({ attested: { kind: "index" } });
    expect(await openHead(bytes, key)).toMatchObject({ wrong: { code: "head_malformed" } });
  });
});
