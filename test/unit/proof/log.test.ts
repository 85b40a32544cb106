/** The log's bytes: golden vectors, C2SP's forms, and the tree as it grows. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PAYLOAD_TYPE } from "#durable/format/head.ts";
import { fromBase64, fromHex, sha256, toBase64, toHex, utf8 } from "#durable/proof/bytes.ts";
import {
  checkpointText,
  cosignatureMessage,
  openCheckpoint,
  readCheckpoint,
  signCheckpoint,
  subtreeMessage,
  verifyLine,
} from "#durable/proof/log/checkpoint.ts";
import { entryBody } from "#durable/proof/log/entry.ts";
import { type Edge, EMPTY_EDGE, Growth } from "#durable/proof/log/growth.ts";
import {
  COSIGNATURE,
  noteKey,
  noteLine,
  readNote,
  readVkey,
  writeNote,
  writeVkey,
} from "#durable/proof/log/note.ts";
import { decodeEntries, encodeEntries, readTilePath, tilePath } from "#durable/proof/log/tile.ts";
import { leafHash, rootOf } from "#durable/proof/merkle.ts";
import { inclusionProof } from "#durable/proof/proofs.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";
import golden from "../../vectors/golden.json" with { type: "json" };

const hex = (text: string) => fromHex(text) ?? new Uint8Array();
const spki = fromBase64(golden.sealSpkiB64) ?? new Uint8Array();
const envelope = {
  payload: toBase64(utf8(golden.payload)),
  payloadType: PAYLOAD_TYPE,
  signatures: [{ sig: golden.sigDerB64 }] as [{ sig: string }],
} as const;
const signer = await logSigner();
const checkpoint = { origin: ORIGIN, size: 1, root: hex(golden.entryLeaf) };
/** The time in the golden cosigned message. */
const AT = 1_795_330_800;

describe("golden vectors", () => {
  test("the entry of the golden head is Rekor's, byte for byte, and so is its leaf", () => {
    const body = entryBody(envelope, spki);
    expect(new TextDecoder().decode(body)).toBe(golden.entryBody);
    expect(toHex(leafHash(body))).toBe(golden.entryLeaf);
  });

  test("the log's Ed25519 vkey and its ML-DSA-44 key id are the golden ones", () => {
    expect(writeVkey(signer.keys.ed25519)).toBe(golden.logVkey);
    expect(toHex(signer.keys.mlDsa.id)).toBe(golden.mldsaKeyId);
  });

  test("the signed checkpoint begins as the golden one, which has the Ed25519 line alone", async () => {
    const note = await signCheckpoint(checkpoint, AT, signer);
    expect(note.startsWith(golden.checkpointNote)).toBe(true);
    expect(note.split("\n")).toHaveLength(7);
    expect(await openCheckpoint(note, signer.keys)).toMatchObject({
      at: AT,
      others: [],
      checkpoint: { size: 1 },
    });
  });

  test("what ML-DSA-44 signs is the golden message, and the note without that signature does not hold", async () => {
    expect(toHex(subtreeMessage(ORIGIN, AT, checkpoint))).toBe(golden.mldsaCosignedMessageHex);
    const opened = await openCheckpoint(golden.checkpointNote, signer.keys);
    expect(opened).toMatchObject({
      wrong: { code: "checkpoint_signature", message: "has 0 ML-DSA-44 signatures" },
    });
  });
});

describe("checkpoints", () => {
  test("one flipped bit anywhere in a signed checkpoint is found", async () => {
    const note = utf8(await signCheckpoint(checkpoint, AT, signer));
    for (let at = 0; at < note.byteLength; at++) {
      const bent = note.slice();
      bent[at] = (bent[at] ?? 0) ^ (1 << (at % 7));
      const opened = await openCheckpoint(new TextDecoder("latin1").decode(bent), signer.keys);
      if (typeof opened !== "string" && !opened.wrong) expect.fail(`at ${at}`);
    }
  });

  test("of another log it is said to be, whoever signed it", async () => {
    const other = await logSigner("other.example");
    const note = await signCheckpoint({ ...checkpoint, origin: "other.example" }, AT, other);
    expect(await openCheckpoint(note, signer.keys)).toMatchObject({ wrong: { code: "checkpoint_origin" } });
  });

  test("a cosignature of a witness is not the log's, and is verified by the witness's key", async () => {
    const witness = noteKey("w.example", COSIGNATURE, signer.keys.ed25519.bytes);
    const text = checkpointText(checkpoint);
    const signed = await signer.ed25519(cosignatureMessage(AT, text));
    const time = new Uint8Array(8);
    new DataView(time.buffer).setBigUint64(0, BigInt(AT));
    const line = noteLine(witness, new Uint8Array([...time, ...signed]));
    const opened = await openCheckpoint((await signCheckpoint(checkpoint, AT, signer)) + line, signer.keys);
    if (typeof opened === "string") throw new Error(opened);
    expect(opened.others.map(({ name }) => name)).toEqual(["w.example"]);
    expect(await verifyLine(opened, witness)).toBe(true);
    expect(await verifyLine(opened, noteKey("v.example", COSIGNATURE, witness.bytes))).toBe(false);
  });

  test("a text written is the text read, and no other text is read", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const read = readCheckpoint(text);
        const note = readNote(text);
        const key = readVkey(text);
        const notes =
          typeof note === "string" || writeNote(note.text, []) === text.slice(0, note.text.length + 1);
        return notes && (read === undefined || checkpointText(read) === text) && typeof key === "string";
      }),
    );
    expect(readCheckpoint(checkpointText(checkpoint))).toEqual(checkpoint);
    for (const bent of ["01", "-1", "1e3", "", "1 "])
      expect(readCheckpoint(checkpointText(checkpoint).replace("\n1\n", `\n${bent}\n`))).toBeUndefined();
    expect(readCheckpoint(`${checkpointText(checkpoint)}extension\n`)).toBeUndefined();
  });

  test.each(["", "x", "a+b+c", `${golden.logVkey}A`, golden.logVkey.replace("1d2d", "1d2e")])(
    "%j is no vkey",
    (text) => {
      expect(typeof readVkey(text)).toBe("string");
    },
  );
});

describe("tiles", () => {
  test("a path written is the path read, and only the one way to write a path is read", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.nat(63), fc.constant("entries" as const)),
        fc.maxSafeNat(),
        fc.integer({ min: 1, max: 256 }),
        (level, n, width) => {
          expect(readTilePath(tilePath(level, n, width))).toEqual({ level, n, width });
        },
      ),
    );
    expect(tilePath(0, 1_234_067)).toBe("tile/0/x001/x234/067");
    expect(tilePath("entries", 0, 17)).toBe("tile/entries/000.p/17");
    const not = [
      "tile/0/1",
      "tile/0/x000/001",
      "tile/00/000",
      "tile/0/000.p/256",
      "tile/0/000.p/0",
      "tile/64/000",
      "",
    ];
    for (const path of not) expect(readTilePath(path)).toBeUndefined();
  });

  test("entries come back as they were bundled, and a bundle that is cut does not", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 })), fc.nat(), (entries, cut) => {
        const bundle = encodeEntries(entries);
        expect(decodeEntries(bundle)?.map((entry) => toHex(entry))).toEqual(
          entries.map((entry) => toHex(entry)),
        );
        const short = decodeEntries(bundle.subarray(0, bundle.byteLength - 1));
        expect(bundle.byteLength === 0 || short === undefined).toBe(true);
        decodeEntries(bundle.subarray(cut % (bundle.byteLength + 1)));
      }),
    );
    expect(() => encodeEntries([new Uint8Array(65_536)])).toThrow(RangeError);
  });
});

describe("a tree that grows", () => {
  const leaves = Array.from({ length: 70_000 }, (_, i) => sha256(utf8(`leaf ${i}`)));

  function grown(steps: readonly number[]) {
    const tiles = new Map<string, string>();
    let edge: Edge = EMPTY_EDGE;
    for (const size of steps) {
      const growth = new Growth(edge, leaves.slice(edge.size, size));
      for (const { path, bytes } of growth.tiles()) tiles.set(path, toHex(bytes));
      if (size <= 3_000 || size === steps.at(-1))
        expect(toHex(growth.root)).toBe(toHex(rootOf(leaves, 0, size)));
      const news = [edge.size, Math.floor((edge.size + size) / 2), size - 1].filter(
        (i) => i >= edge.size && i < size,
      );
      if (size <= 3_000)
        for (const i of news)
          expect(growth.inclusion(i).map(toHex)).toEqual(inclusionProof(leaves, i, size).map(toHex));
      edge = growth.edge;
    }
    return { edge, tiles };
  }

  test("in any steps has the roots and proofs of RFC 6962, and the same edge", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 1_400 }), { maxLength: 8 }), (sizes) => {
        const { edge, tiles } = grown([...sizes, 1_400].toSorted((a, b) => a - b));
        const once = grown([1_400]);
        expect(toHex(edge.hashes)).toBe(toHex(once.edge.hashes));
        for (const [path, bytes] of once.tiles) expect(tiles.get(path)).toBe(bytes);
      }),
      { numRuns: 30 },
    );
  });

  test("one at a time past a full tile writes every partial tile once, and then the full one", () => {
    const { tiles } = grown(Array.from({ length: 258 }, (_, i) => i + 1));
    for (let width = 1; width < 256; width++) expect(tiles.has(tilePath(0, 0, width))).toBe(true);
    expect([...tiles.keys()].slice(255)).toEqual([
      "tile/0/000",
      "tile/1/000.p/1",
      "tile/0/001.p/1",
      "tile/0/001.p/2",
    ]);
  });

  test("over two full levels has the root of RFC 6962", () => {
    const { tiles, edge } = grown([255, 65_535, 65_536, 65_537, 70_000]);
    expect(edge.size).toBe(70_000);
    expect(tiles.has("tile/2/000.p/1")).toBe(true);
    expect(tiles.get("tile/1/000")).toHaveLength(256 * 64);
  });

  test("does not go on from an edge that is not one of its size", () => {
    expect(() => new Growth({ size: 3, hashes: new Uint8Array(64) }, [])).toThrow(RangeError);
  });
});
