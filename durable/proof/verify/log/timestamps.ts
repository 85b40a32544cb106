/** Timestamps of third parties: that each is over what it lies beside, signed by an authority that is trusted; and which lack one. */
import { TSA_CERTIFICATES, TSA_CHAINS, tsaChainKey } from "#durable/format/layout.ts";
import { type Bytes, equal, readUtf8, sha256, toHex, utf8 } from "../../bytes.ts";
import type { Report } from "../../finding.ts";
import type { Source } from "../../read/source.ts";
import { type Certificate, readChain, writeCertificates } from "../../timestamp/certificate.ts";
import { wrongSignature } from "../../timestamp/signature.ts";
import { readToken, type Token, wrongDigest } from "../../timestamp/token.ts";
import type { Context } from "../context.ts";

type Chain = readonly Certificate[];

export type Authorities = {
  /** The auditor's own; empty when none were given, and then nothing has to have a timestamp. */
  readonly held: Chain;
  /** The archive's, in the order of their keys. */
  readonly chains: readonly Chain[];
};

/** A stored checkpoint; `at` in seconds since 1970. */
export type Stamped = {
  readonly object: string;
  readonly size: number;
  readonly at: number;
  readonly note: Bytes;
};

/** How far clocks may be apart before it is said, in milliseconds. */
const APART = 60_000;

export async function readAuthorities(
  source: Source,
  report: Report,
  held: Chain = [],
): Promise<Authorities> {
  const chains: Chain[] = [];
  const texts: Bytes[] = [];
  for await (const object of source.list(TSA_CHAINS)) {
    const bytes = await source.get(object);
    const chain = bytes ? await readStored(object, bytes) : "it is not there";
    if (typeof chain === "string") report("tsa_malformed", object, chain);
    else chains.push(chain);
    if (bytes) texts.push(bytes);
  }
  const newest = await source.get(TSA_CERTIFICATES);
  if (newest && !texts.some((text) => equal(text, newest)))
    report("tsa_malformed", TSA_CERTIFICATES, `not one of ${TSA_CHAINS}`);
  return { held, chains };
}

/** No byte of it is free. */
async function readStored(object: string, bytes: Bytes): Promise<Chain | string> {
  if (object !== tsaChainKey(toHex(sha256(bytes)))) return "not of the digest in its name";
  const chain = await readChain(readUtf8(bytes) ?? "");
  if (typeof chain === "string") return chain;
  return equal(utf8(writeCertificates(chain)), bytes) ? chain : "not written as a PEM is";
}

/** Without certificates of the auditor's the archive's own are used, and without those it is only held against the bytes. */
export async function checkToken(
  { report, tsa }: Context,
  object: string,
  reply: Bytes,
  over: Bytes,
): Promise<Token | undefined> {
  const token = readToken(reply);
  const trusted = tsa.held.length > 0 ? tsa.held : tsa.chains.flat();
  const wrong =
    typeof token === "string" ? token : (wrongDigest(token, over) ?? (await wrongSignature(token, trusted)));
  if (wrong !== undefined) report("timestamp_forged", object, `its timestamp: ${wrong}`);
  return wrong === undefined && typeof token !== "string" ? token : undefined;
}

/** The stored checkpoints with their timestamps, those that lack one together where they follow each other. */
export async function checkStamped(
  context: Context,
  checkpoints: Stamped[],
  tokens: ReadonlySet<string>,
): Promise<void> {
  const { source, report, tsa } = context;
  const left = new Set(tokens);
  checkpoints.sort((a, b) => a.size - b.size || a.at - b.at);
  let lacking: Stamped[] = [];
  const tell = () => {
    const [first] = lacking;
    const last = lacking.at(-1);
    if (first && last && tsa.held.length > 0)
      report(
        "timestamp_missing",
        first.object,
        first === last
          ? "it has no timestamp"
          : `${lacking.length} checkpoints, to ${last.object}, have no timestamp`,
      );
    lacking = [];
  };
  for (const checkpoint of checkpoints) {
    const object = `${checkpoint.object}.tsr`;
    const reply = left.delete(object) ? await source.get(object) : undefined;
    if (!reply) {
      lacking.push(checkpoint);
      continue;
    }
    tell();
    const token = await checkToken(context, object, reply, checkpoint.note);
    if (token && token.at + APART < checkpoint.at * 1000)
      report(
        "timestamp_early",
        object,
        `of ${new Date(token.at).toJSON()}: its checkpoint says a later time`,
      );
  }
  tell();
  for (const object of left) report("object_unknown", object, "a timestamp of no checkpoint");
}

/** A seal bears one where Sigstore's clients can verify it: when the archive names an ECDSA authority. */
export function reportUnstamped({ report, tsa }: Context, object: string, stamped: boolean): void {
  if (stamped || tsa.held.length === 0) return;
  const own = [...tsa.held, ...tsa.chains.map(([first]) => first)].filter((each) => each?.stamps);
  if (own.some((each) => each?.kind === "ecdsa"))
    report("timestamp_missing", object, "the seal has no timestamp");
}
