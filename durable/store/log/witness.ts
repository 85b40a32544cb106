/** One witness over HTTP (C2SP tlog-witness): asked, understood, and left alone for a while when it does not answer. */
import type { Checkpoint } from "#durable/proof/log/checkpoint.ts";
import type { NoteKey } from "#durable/proof/log/note.ts";
import { readCosignature, readSize, writeSubmission } from "#durable/proof/log/submission.ts";
import { causesOf, chunksOf, expiry, within } from "../deadline.ts";

/** A checkpoint that the log has signed, with the text that was signed. */
export type Signed = { readonly checkpoint: Checkpoint; readonly text: string; readonly note: string };

/** What a witness says to a checkpoint. */
export type Said =
  | { readonly kind: "cosigned"; readonly line: string }
  /** It could not be asked, or what it answered is of no use: the checkpoint goes on without it. */
  | { readonly kind: "absent"; readonly why: string }
  /** It was absent so shortly ago that it was not asked. */
  | { readonly kind: "resting" }
  /** It has cosigned more of this log than there is, or another: whoever signs on forks the log. */
  | { readonly kind: "contradicts"; readonly why: string };

/** The proof that the checkpoint extends the tree over its first `old` entries. */
export type Prove = (old: number) => Promise<readonly Uint8Array[]>;

/** Somebody else who signs that our log only grows. Never throws. */
export interface Witness {
  readonly key: NoteKey;
  /** `old` is the size that it probably saw last. */
  cosign(signed: Signed, old: number, prove: Prove): Promise<Said>;
}

export type WitnessOptions = {
  readonly key: NoteKey;
  /** Without a trailing slash: the submission prefix. */
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For all that one checkpoint takes. */
  readonly timeoutMs: number;
  /** How long it is left alone after it was absent. */
  readonly restMs: number;
};

/** It may say another size than we thought, and once more when somebody else asked it meanwhile. */
const TRIES = 3;
const ANSWER_MAX = 64 * 1024;

export function witnessClient(options: WitnessOptions): Witness {
  let restUntil = 0;
  return {
    key: options.key,
    async cosign(signed, old, prove) {
      if (options.now() < restUntil) return { kind: "resting" };
      const said = await ask(options, signed, old, prove);
      restUntil = said.kind === "absent" ? options.now() + options.restMs : 0;
      return said;
    },
  };
}

const absent = (why: string): Said => ({ kind: "absent", why });

async function ask(options: WitnessOptions, signed: Signed, first: number, prove: Prove): Promise<Said> {
  try {
    return await within(options.timeoutMs, `add-checkpoint to ${options.url}`, (signal) =>
      Promise.race([agree(options, signed, first, prove, signal), expiry(signal)]),
    );
  } catch (cause) {
    // A witness that is down stops nothing; whoever asked is told, and tells.
    return absent(causesOf(cause));
  }
}

async function agree(
  options: WitnessOptions,
  signed: Signed,
  first: number,
  prove: Prove,
  signal: AbortSignal,
): Promise<Said> {
  let old = first;
  for (let tried = 0; tried < TRIES; tried++) {
    const body = writeSubmission({ old, proof: await prove(old), note: signed.note });
    const { status, text } = await post(options, body, signal);
    const next = await understand(options.key, signed, old, status, text);
    if (typeof next !== "number") return next;
    old = next;
  }
  return absent(`it said ${TRIES} times that it saw another size`);
}

async function post(
  { url, fetch }: WitnessOptions,
  body: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${url}/add-checkpoint`, { method: "POST", body, redirect: "manual", signal });
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  if (response.body)
    for await (const chunk of chunksOf(response.body as ReadableStream<Uint8Array>, signal)) {
      size += chunk.byteLength;
      if (size > ANSWER_MAX) throw new Error(`an answer of more than ${ANSWER_MAX} bytes`);
      text += decoder.decode(chunk, { stream: true });
    }
  return { status: response.status, text };
}

/** What an answer comes to, or the size to ask again from. */
async function understand(
  key: NoteKey,
  signed: Signed,
  old: number,
  status: number,
  text: string,
): Promise<Said | number> {
  const { size } = signed.checkpoint;
  if (status === 200) {
    const read = await readCosignature(text, signed, key);
    return typeof read === "string" ? absent(read) : { kind: "cosigned", line: read.line };
  }
  // Our own proof was held against our own root before it was sent.
  if (status === 422)
    return { kind: "contradicts", why: `it has cosigned another tree of ${old} entries than this ledger's` };
  if (status !== 409) return absent(`it answers ${status}`);
  const saw = readSize(text);
  if (saw === undefined) return absent("it answers 409 without a size");
  if (saw > size)
    return { kind: "contradicts", why: `it has cosigned ${saw} entries, the ledger has signed ${size}` };
  if (saw !== old) return saw;
  return old === size
    ? { kind: "contradicts", why: `it has cosigned another tree of ${size} entries` }
    : absent(`it answers 409 to the size that it saw, ${saw}`);
}
