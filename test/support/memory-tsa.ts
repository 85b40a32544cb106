// A timestamp authority without a socket, behind the client that the ledger asks it with. `openssl ts` accepts its tokens.
import { type Bytes, sha256, utf8 } from "#durable/proof/bytes.ts";
import { p1363ToDer } from "#durable/proof/dsse.ts";
import {
  type Certificate,
  readCertificates,
  writeCertificates,
} from "#durable/proof/timestamp/certificate.ts";
import {
  BITS,
  BOOLEAN,
  context,
  INTEGER,
  OCTETS,
  OID,
  partsOf,
  readDer,
  SEQUENCE,
  SET,
  TIME,
  UTF8,
  writeDer,
} from "#durable/proof/timestamp/der.ts";
import { type Tsa, tsaClient } from "#durable/store/log/tsa.ts";

export type TsaMood =
  | "well"
  | "down"
  | "hangs"
  | "lost"
  | "another nonce"
  | "no nonce"
  | "another digest"
  | "refuses"
  | "a bad signature"
  | { readonly status: number; readonly body: Bytes };

export type MemoryTsa = {
  readonly chain: readonly Certificate[];
  readonly client: Tsa;
  /** How many requests came. */
  asked: number;
  mood: TsaMood;
  /** What the authority answers to a request, in its mood. */
  answer(query: Bytes): Promise<Bytes>;
};

type Pair = { readonly spki: Bytes; readonly sign: (bytes: Bytes) => Promise<Bytes> };

const seq = (...parts: Uint8Array[]) => writeDer(SEQUENCE, ...parts);
const set = (...parts: Uint8Array[]) => writeDer(SET, ...parts);
const int = (...octets: number[]) => writeDer(INTEGER, new Uint8Array(octets));
const hex = (text: string) => new Uint8Array(text.match(/../g)?.map((two) => Number.parseInt(two, 16)) ?? []);
const oid = (text: string) => writeDer(OID, hex(text));
const ECDSA_SHA256 = seq(oid("2a8648ce3d040302"));
const SHA256 = seq(oid("608648016503040201"));
const TRUE = writeDer(BOOLEAN, new Uint8Array([0xff]));
const name = (text: string) => seq(set(seq(oid("550403"), writeDer(UTF8, utf8(text)))));
/** Milliseconds since 1970 as GeneralizedTime, in whole seconds. */
const time = (at: number) =>
  writeDer(TIME, utf8(`${new Date(at).toISOString().slice(0, 19).replaceAll(/[-T:]/g, "")}Z`));

async function makePair(): Promise<Pair> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const pair = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const hash = { name: "ECDSA", hash: "SHA-256" };
  return {
    spki: new Uint8Array((await crypto.subtle.exportKey("spki", pair.publicKey)) as ArrayBuffer),
    sign: async (bytes) => p1363ToDer(new Uint8Array(await crypto.subtle.sign(hash, pair.privateKey, bytes))),
  };
}

type Issued = {
  readonly subject: string;
  readonly issuer: string;
  readonly serial: number;
  readonly key: Pair;
  readonly by: Pair;
  readonly until: number;
  readonly extension: Uint8Array;
};

const CA = seq(oid("551d13"), TRUE, writeDer(OCTETS, seq(TRUE)));
const STAMPING = seq(oid("551d25"), TRUE, writeDer(OCTETS, seq(oid("2b06010505070308"))));
const FROM = Date.UTC(2020, 0, 1);

async function issue({ subject, issuer, serial, key, by, until, extension }: Issued): Promise<Bytes> {
  const tbs = seq(
    writeDer(context(0), int(2)),
    int(serial),
    ECDSA_SHA256,
    name(issuer),
    seq(time(FROM), time(until)),
    name(subject),
    key.spki,
    writeDer(context(3), seq(extension)),
  );
  return seq(tbs, ECDSA_SHA256, writeDer(BITS, new Uint8Array([0]), await by.sign(tbs)));
}

export type MemoryTsaOptions = {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly restMs?: number;
  readonly timeoutMs?: number;
  /** When its own certificate ends. */
  readonly until?: number;
  /** Its certificate does not say that it may make timestamps. */
  readonly unfit?: boolean;
  /** The client knows none of its certificates. */
  readonly unknown?: boolean;
};

export async function memoryTsa(options: MemoryTsaOptions): Promise<MemoryTsa> {
  const { now, restMs = 0, timeoutMs = 300 } = options;
  const [root, own] = [await makePair(), await makePair()];
  const until = Date.UTC(2099, 0, 1);
  const ca = await issue({
    subject: "root",
    issuer: "root",
    serial: 1,
    key: root,
    by: root,
    until,
    extension: CA,
  });
  const leaf = await issue({
    ...{ subject: "tsa", issuer: "root", serial: 2, key: own, by: root },
    until: options.until ?? until,
    extension: options.unfit ? CA : STAMPING,
  });
  const pem = [leaf, ca].map(
    (der) => `-----BEGIN CERTIFICATE-----\n${btoa(String.fromCharCode(...der))}\n-----END CERTIFICATE-----\n`,
  );
  const chain = readCertificates(pem.join(""));
  if (typeof chain === "string") throw new Error(chain);
  let serial = 0;
  const made: MemoryTsa = {
    chain,
    asked: 0,
    mood: "well",
    async answer(query) {
      made.asked += 1;
      serial += 1;
      if (made.mood === "refuses") return seq(seq(int(2), seq(writeDer(UTF8, utf8("not today")))));
      const [, imprint, nonce] = partsOf(readDer(query));
      const other = seq(SHA256, writeDer(OCTETS, new Uint8Array(32)));
      const info = seq(
        int(1),
        oid("2a0304"),
        made.mood === "another digest" ? other : (imprint?.whole ?? other),
        int(1 + (serial >> 7), serial & 0x7f),
        time(now()),
        ...(made.mood === "no nonce"
          ? []
          : [made.mood === "another nonce" ? int(5) : (nonce?.whole ?? int(5))]),
      );
      const attributes = [
        seq(oid("2a864886f70d010903"), set(oid("2a864886f70d0109100104"))),
        seq(oid("2a864886f70d010904"), set(writeDer(OCTETS, sha256(info)))),
        seq(oid("2a864886f70d010910022f"), set(seq(seq(seq(writeDer(OCTETS, sha256(leaf))))))),
      ];
      const signature = await own.sign(set(...attributes));
      if (made.mood === "a bad signature") signature[signature.byteLength - 1] = (signature.at(-1) ?? 0) ^ 1;
      const signer = seq(
        int(1),
        seq(name("root"), int(2)),
        SHA256,
        writeDer(context(0), ...attributes),
        ECDSA_SHA256,
        writeDer(OCTETS, signature),
      );
      const content = seq(oid("2a864886f70d0109100104"), writeDer(context(0), writeDer(OCTETS, info)));
      const data = seq(int(3), set(SHA256), content, writeDer(context(0), leaf), set(signer));
      return seq(seq(int(0)), seq(oid("2a864886f70d010702"), writeDer(context(0), data)));
    },
    client: tsaClient({
      ...{ url: "https://tsa.example/tsr", chain: options.unknown ? [] : chain, now, restMs, timeoutMs },
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
      fetch: async (_url, init) => {
        const { mood } = made;
        if (mood === "down") throw new Error("connection refused");
        if (mood === "hangs") await new Promise(() => undefined);
        if (typeof mood === "object") return new Response(mood.body, { status: mood.status });
        const reply = await made.answer(new Uint8Array(init.body as Uint8Array<ArrayBuffer>));
        if (mood === "lost") throw new Error("connection reset");
        return new Response(reply);
      },
    }),
  };
  return made;
}

export const pemOf = ({ chain }: Pick<MemoryTsa, "chain">): string => writeCertificates(chain);
