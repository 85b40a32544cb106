/** A timestamp authority over HTTP (RFC 3161 §3.4): asked, its answers held against what was asked, and left alone when it fails. */
import { type Bytes, concat, equal, sha256, toHex } from "#durable/proof/bytes.ts";
import type { Certificate } from "#durable/proof/timestamp/certificate.ts";
import { nonceOf, writeQuery } from "#durable/proof/timestamp/query.ts";
import { wrongSignature } from "#durable/proof/timestamp/signature.ts";
import { readToken, type Token, wrongDigest } from "#durable/proof/timestamp/token.ts";
import { causesOf, chunksOf, expiry, within } from "../deadline.ts";

/** As it came, and what it says. */
export type Stamp = { readonly reply: Bytes; readonly token: Token };

export type Stamped = {
  /** One for each text, in order, as far as they came. */
  readonly stamps: readonly (Stamp | undefined)[];
  /** Why one did not come. Absent also while the authority is left alone, and is not asked. */
  readonly absent?: string;
};

/** Somebody else who says when. Never throws. */
export interface Tsa {
  /** Its certificates, its own first; empty when nobody said. Tokens that they do not vouch for are refused. */
  readonly chain: readonly Certificate[];
  /** Timestamps over the SHA-256 of each text, within one timeout for all of them. */
  stamp(texts: readonly Bytes[]): Promise<Stamped>;
}

export type TsaOptions = {
  readonly url: string;
  readonly chain: readonly Certificate[];
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  readonly timeoutMs: number;
  /** How long it is left alone after it failed. */
  readonly restMs: number;
};

/** Requests under way at once. */
const AT_ONCE = 4;
const ANSWER_MAX = 64 * 1024;

export function tsaClient(options: TsaOptions): Tsa {
  const { url, chain, now, timeoutMs, restMs } = options;
  let restUntil = 0;
  return {
    chain,
    async stamp(texts) {
      const stamps: (Stamp | undefined)[] = texts.map(() => undefined);
      if (texts.length === 0 || now() < restUntil) return { stamps };
      const all = async (signal: AbortSignal) => {
        for (let at = 0; at < texts.length; at += AT_ONCE)
          await Promise.all(
            texts.slice(at, at + AT_ONCE).map(async (text, i) => {
              stamps[at + i] = await ask(options, text, signal);
            }),
          );
      };
      try {
        await within(timeoutMs, `timestamp of ${url}`, (signal) =>
          Promise.race([all(signal), expiry(signal)]),
        );
        return { stamps };
      } catch (cause) {
        // An authority that is down stops nothing; whoever asked is told, and tells. What came after this is not used.
        restUntil = now() + restMs;
        return { stamps: [...stamps], absent: causesOf(cause) };
      }
    },
  };
}

async function ask(options: TsaOptions, text: Bytes, signal: AbortSignal): Promise<Stamp> {
  const nonce = nonceOf(options.random(8));
  const body = writeQuery(sha256(text), nonce);
  const headers = { "content-type": "application/timestamp-query" };
  const init = { method: "POST", body, headers, redirect: "manual", signal } as const;
  const response = await options.fetch(options.url, init);
  if (response.status !== 200 || !response.body) throw new Error(`it answers ${response.status}`);
  const reply = await bytesOf(response.body as ReadableStream<Uint8Array>, signal);
  const token = readToken(reply);
  if (typeof token === "string") throw new Error(`its answer: ${token}`);
  const wrong = wrongDigest(token, text) ?? (await wrongSignature(token, options.chain));
  if (wrong !== undefined) throw new Error(`its answer: ${wrong}`);
  if (!token.nonce || !equal(token.nonce, nonce))
    throw new Error(`its answer is to another nonce: ${token.nonce ? toHex(token.nonce) : "none"}`);
  return { reply, token };
}

async function bytesOf(body: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunksOf(body, signal)) {
    size += chunk.byteLength;
    if (size > ANSWER_MAX) throw new Error(`an answer of more than ${ANSWER_MAX} bytes`);
    chunks.push(chunk);
  }
  return concat(chunks);
}
