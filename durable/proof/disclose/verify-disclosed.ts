/** Disclosed frames against the seal that came with them: findings as of an archive. */
import type { Statement } from "#durable/format/head.ts";
import { SEAL_NAME } from "#durable/format/layout.ts";
import { type Bytes, equal, fromBase64, readUtf8, sha256, toHex, utf8 } from "../bytes.ts";
import { Findings, type Report } from "../finding.ts";
import { readTlogProof, writeTlogProof } from "../log/tlog-proof.ts";
import { leafHash } from "../merkle.ts";
import { verifyInclusion } from "../proofs.ts";
import { readLine } from "../read/line.ts";
import type { Source } from "../read/source.ts";
import { openHead } from "../seal.ts";
import type { Context } from "../verify/context.ts";
import { checkHead, isTerminal } from "../verify/heads.ts";
import { originOf } from "../verify/ledger.ts";
import { checkEntry } from "../verify/log/entry.ts";
import { begin, conclude, type Verified, type VerifyOptions } from "../verify/run.ts";
import { sealedNote } from "./disclose-frames.ts";
import { chunkName, DISCLOSED, lineName, proofName, SEAL_PROOF } from "./names.ts";

/** `frames` of what it returns are those that were disclosed. */
export async function verifyDisclosed(source: Source, options: VerifyOptions): Promise<Verified> {
  const findings = new Findings();
  const context = await begin(source, options, findings, false);
  const statement = await checkSeal(context, options);
  const frames = new Set<number>();
  for await (const object of source.list("")) {
    const [, frame, sort] = DISCLOSED.exec(object) ?? [];
    if (frame !== undefined) {
      if (sort !== "bytes") frames.add(Number(frame));
    } else if (object !== SEAL_NAME && object !== SEAL_PROOF && !object.startsWith("trust/"))
      findings.report("object_unknown", object, "it is no part of a disclosure");
  }
  for (const frame of [...frames].sort((a, b) => a - b)) await checkFrame(context, frame, statement);
  return conclude(findings, context, options, { sessions: 1, frames: frames.size });
}

async function checkSeal(context: Context, options: VerifyOptions): Promise<Statement | undefined> {
  const { source, report, key } = context;
  const bytes = await source.get(SEAL_NAME);
  if (!bytes) {
    report("object_missing", SEAL_NAME, "without the seal nothing is known of the frames");
    return undefined;
  }
  const { bundle, statement, wrong } = await openHead(bytes, key);
  if (wrong) report(wrong.code, SEAL_NAME, wrong.message);
  if (bundle) {
    await checkEntry(context, SEAL_NAME, bundle, !wrong);
    const { inclusionProof: proof } = bundle.verificationMaterial.tlogEntries[0];
    const path = proof.hashes.flatMap((hash) => fromBase64(hash) ?? []);
    const said = writeTlogProof({ index: Number(proof.logIndex), path, note: proof.checkpoint.envelope });
    const own = await source.get(SEAL_PROOF);
    if (own && !equal(own, utf8(said)))
      report("frame_proof", SEAL_PROOF, "it is not what the seal says of its place");
  }
  if (!statement) return undefined;
  const { predicate } = statement;
  const origin = options.origin ?? context.log?.ed25519.name ?? originOf(statement);
  checkHead({ object: SEAL_NAME, statement, trusted: !wrong }, predicate.session, [origin], report);
  if (!isTerminal(predicate)) report("head_sequence", SEAL_NAME, `a seal of status ${predicate.status}`);
  return wrong ? undefined : statement;
}

async function checkFrame(
  { source, report }: Context,
  seq: number,
  seal: Statement | undefined,
): Promise<void> {
  const [object, proof] = [lineName(seq), proofName(seq)];
  const [line, text] = [await source.get(object), await source.get(proof)];
  if (!line) report("object_missing", object, "there is a proof of a frame that is not there");
  if (!text) report("object_missing", proof, "that the frame is in the session is not proved");
  if (!line) return;
  const read = readLine(line, seq, (code, message) => report(code, object, message));
  if (read?.frame?.k === "data" && "bytes" in read.frame)
    await checkChunk({ source, report }, seq, read.salt, read.frame.sha256);
  const parsed = text && readTlogProof(readUtf8(text) ?? "");
  if (typeof parsed === "string") report("frame_proof", proof, parsed);
  else if (parsed && seal) checkProof(report, seq, line, parsed, seal);
}

function checkProof(
  report: Report,
  seq: number,
  line: Bytes,
  { index, path, note }: Exclude<ReturnType<typeof readTlogProof>, string>,
  { predicate: { head } }: Statement,
): void {
  const object = proofName(seq);
  const root = fromBase64(head.rootHash) ?? new Uint8Array();
  if (index !== seq) report("frame_proof", object, `it is of frame ${index}`);
  if (note !== sealedNote({ origin: head.origin, size: head.size, root }))
    report("frame_proof", object, "its checkpoint is not what the seal signs");
  else if (!verifyInclusion(leafHash(line), index, head.size, root, path))
    report("frame_proof", object, `${lineName(seq)} is not frame ${index} of the sealed session`);
}

/** A body may be kept back: what is there must be what the frame names. */
async function checkChunk(
  { source, report }: Pick<Context, "source" | "report">,
  seq: number,
  salt: string,
  digest: string,
): Promise<void> {
  const bytes = await source.get(chunkName(seq));
  if (bytes && toHex(sha256(fromBase64(salt) ?? new Uint8Array(), bytes)) !== digest)
    report("bytes_digest", chunkName(seq), `not the bytes that ${lineName(seq)} names`);
}
