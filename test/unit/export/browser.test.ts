/** The page's verifier is the command line's, on a browser's stand-ins for Node's modules: they must not differ in a byte. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  constants,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { build } from "esbuild";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { type Bytes, concat } from "#durable/proof/bytes.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { nodeModules } from "#scripts/export/bundle-page.ts";
import { Buffer as View } from "#scripts/export/page/node/buffer.ts";
import { createHash as createPageHash } from "#scripts/export/page/node/crypto.ts";
import * as zlib from "#scripts/export/page/node/zlib.ts";
import { workspace } from "#test/support/servers/children.ts";
import { codes, goodArchive, now, pushBody } from "../proof/corpus.ts";
import { type Objects, source } from "../proof/recording.ts";

const ROOT = join(import.meta.dirname, "../../..");
const bytes = () => fc.uint8Array({ maxLength: 5000 }).map((array) => new Uint8Array(array));

describe("a browser's stand-ins do what Node does", () => {
  test("SHA-256 and SHA-1, in parts and copied", () => {
    fc.assert(
      fc.property(fc.constantFrom("sha1", "sha256"), bytes(), bytes(), (algorithm, a, b) => {
        const [node, page] = [createHash(algorithm).update(a), createPageHash(algorithm as "sha1").update(a)];
        expect(page.copy().digest("hex")).toBe(node.copy().digest("hex"));
        expect(page.update(b).digest("base64")).toBe(node.update(b).digest("base64"));
      }),
      { numRuns: 60 },
    );
  });

  test("hex and base64, also of texts that are neither", () => {
    const text = fc.oneof(
      fc.string(),
      fc.base64String(),
      fc.uint8Array().map((b) => Buffer.from(b).toString("hex")),
    );
    fc.assert(
      fc.property(bytes(), text, (b, words) => {
        for (const encoding of ["hex", "base64"] as const) {
          expect(View.from(b).toString(encoding)).toBe(Buffer.from(b).toString(encoding));
          // Callers accept a text only when it is what its bytes are written as.
          const back = View.from(words, encoding).toString(encoding) === words;
          expect(back).toBe(Buffer.from(words, encoding).toString(encoding) === words);
        }
        expect(View.from(b).equals(new Uint8Array(b))).toBe(true);
        expect(View.byteLength(words)).toBe(Buffer.byteLength(words, "utf8"));
      }),
      { numRuns: 100 },
    );
  });

  test("inflate says where a stream ends in what follows it, and both stop at the bound", () => {
    fc.assert(
      fc.property(bytes(), bytes(), (b, after) => {
        const packed = deflateSync(b);
        const { buffer, engine } = zlib.inflateSync(concat([packed, after]), { info: true });
        expect([engine.bytesWritten, Buffer.from(buffer).equals(b)]).toEqual([packed.byteLength, true]);
        if (b.byteLength > 1) {
          const limits = { maxOutputLength: b.byteLength - 1 };
          expect(() => zlib.inflateSync(packed, limits)).toThrow();
          expect(() => inflateSync(packed, limits)).toThrow();
        }
      }),
      { numRuns: 60 },
    );
  });

  test("gzip of several members, and gzip that is cut or damaged", () => {
    fc.assert(
      fc.property(bytes(), bytes(), fc.nat(), (a, b, at) => {
        const packed = concat([gzipSync(a), gzipSync(b)]);
        expect(Buffer.from(zlib.gunzipSync(packed)).equals(gunzipSync(packed))).toBe(true);
        const cut = packed.subarray(0, at % packed.byteLength);
        expect(outcome(() => zlib.gunzipSync(cut))).toEqual(outcome(() => gunzipSync(cut)));
      }),
      { numRuns: 60 },
    );
  });

  test("zstd with a window of 16 MiB and long matches, up to the bound and not beyond", () => {
    const noise = createHash("sha256").update("noise").digest();
    const block = concat(
      Array.from({ length: 2000 }, (_, i) => createHash("sha256").update(noise).update(String(i)).digest()),
    );
    const raw = concat([block, new Uint8Array(9 * 1024 * 1024), block, block]);
    const params = {
      [constants.ZSTD_c_windowLog]: 24,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
      [constants.ZSTD_c_checksumFlag]: 1,
    };
    const packed = zstdCompressSync(raw, { params });
    expect(packed.byteLength).toBeLessThan(raw.byteLength / 50);
    expect(Buffer.from(zlib.zstdDecompressSync(packed)).equals(raw)).toBe(true);
    expect(() => zlib.zstdDecompressSync(packed, { maxOutputLength: raw.byteLength - 1 })).toThrow();
    expect(() => zlib.zstdDecompressSync(packed.subarray(0, -9))).toThrow();
    expect(() => zstdDecompressSync(packed.subarray(0, -9))).toThrow();
    expect(() =>
      zlib.zstdDecompressSync(
        zstdCompressSync(raw, {
          params: { ...params, [constants.ZSTD_c_windowLog]: 27 },
          pledgedSrcSize: 2 ** 31,
        } as never),
      ),
    ).toThrow();
  });
});

const outcome = (work: () => Uint8Array): string | undefined => {
  try {
    return Buffer.from(work()).toString("hex");
  } catch {
    // That it throws is what is compared.
    return undefined;
  }
};

describe("on the same evidence", () => {
  let objects: Objects;
  let inPage: typeof verifyArchive;

  const home = workspace("page-verifier");
  afterAll(() => home.remove());

  beforeAll(async () => {
    objects = (await goodArchive(pushBody(3))).objects;
    const bundle = await build({
      entryPoints: [join(ROOT, "durable/proof/verify/archive.ts")],
      write: false,
      bundle: true,
      format: "esm",
      platform: "browser",
      alias: nodeModules(),
      logLevel: "warning",
    });
    const text = bundle.outputFiles[0]?.text ?? "";
    expect(text).not.toMatch(/from\s*["']node:/);
    const path = join(home.path, "page.mjs");
    writeFileSync(path, text);
    const module: unknown = await import(path);
    inPage = (module as { verifyArchive: typeof verifyArchive }).verifyArchive;
  });

  test("the page finds what the command line finds: nothing, or for any bent object the same codes in the same objects", async () => {
    const sessions = new Set([...objects.keys()].flatMap((key) => /(ses_\w+)\//.exec(key)?.[1] ?? []));
    expect(sessions.size).toBe(5);
    for (const session of sessions as Set<SessionId>) {
      await same(objects, session);
      for (const key of [...objects.keys()].filter(
        (name) => name.includes(session) || name.startsWith("trust/"),
      )) {
        const stored = objects.get(key) ?? new Uint8Array();
        for (const at of [0, 5, stored.byteLength >> 1, stored.byteLength - 1])
          await same(new Map(objects).set(key, flipped(stored, at)), session);
        await same(new Map(objects).set(key, stored.slice(0, -3)), session);
        await same(new Map([...objects].filter(([name]) => name !== key)), session);
      }
    }
  });

  async function same(bent: Objects, session: SessionId): Promise<void> {
    const node = await verifyArchive(source(bent), { now }, session);
    const page = await inPage(source(bent), { now }, session);
    expect(page.findings.map(({ code, object }) => `${code} ${object}`)).toEqual(
      node.findings.map(({ code, object }) => `${code} ${object}`),
    );
    expect([page.integrity, page.completeness, page.frames]).toEqual([
      node.integrity,
      node.completeness,
      node.frames,
    ]);
    if (bent === objects && codes(page).length > 0) expect(codes(page)).toEqual(["session_truncated"]);
  }
});

function flipped(stored: Bytes, at: number): Bytes {
  const bent = stored.slice();
  bent[at] = (bent[at] ?? 0) ^ 0x10;
  return bent;
}
