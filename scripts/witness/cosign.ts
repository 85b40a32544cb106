/** The witness itself (C2SP tlog-witness): from the body of an `add-checkpoint` to its answer. */
import { concat, equal, toBase64 } from "#durable/proof/bytes.ts";
import {
  type Checkpoint,
  cosignatureMessage,
  readCheckpoint,
  type Sign,
  subtreeMessage,
  u64,
  verifyLine,
} from "#durable/proof/log/checkpoint.ts";
import { COSIGNATURE, linesOf, type NoteKey, noteLine, readNote } from "#durable/proof/log/note.ts";
import { readSubmission, SIZE_TYPE } from "#durable/proof/log/submission.ts";
import { verifyConsistency } from "#durable/proof/proofs.ts";

/** The newest checkpoint of a log that was cosigned. `at`: seconds since 1970, of that cosignature. */
export type Seen = Checkpoint & { readonly at: number };

/** What a witness remembers. */
export interface Memory {
  /** Of a log that was never cosigned: the empty tree. Throws when it cannot be told: nothing is cosigned then. */
  read(origin: string): Promise<Seen>;
  /** Whole or not at all, and durable when it returns. */
  write(seen: Seen): Promise<void>;
}

/** A key of the witness, of type 0x04 or 0x06. */
export type Cosigner = { readonly key: NoteKey; readonly sign: Sign };

export type WitnessOptions = {
  readonly cosigners: readonly Cosigner[];
  /** Keys of the logs it knows; several may be of one log. */
  readonly logs: readonly NoteKey[];
  readonly state: Memory;
  /** Seconds since 1970. */
  readonly now: () => number;
};

export type Answer = { readonly status: number; readonly type?: string; readonly body: string };

const refuse = (status: number, why: string): Answer => ({ status, body: `${why}\n` });
const conflict = ({ size }: Seen): Answer => ({ status: 409, type: SIZE_TYPE, body: `${size}\n` });

export class Witness {
  readonly #options: WitnessOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: WitnessOptions) {
    this.#options = options;
  }

  /** One at a time, so that what was compared is what is replaced. Throws when its state cannot be read or written. */
  addCheckpoint(body: string): Promise<Answer> {
    const answer = this.#last.then(() => this.#answer(body));
    // Whoever asked hears of a failure; the next one in the queue has not failed.
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #answer(body: string): Promise<Answer> {
    const { logs, state, now } = this.#options;
    const submission = readSubmission(body);
    if (typeof submission === "string") return refuse(400, submission);
    const note = readNote(submission.note);
    if (typeof note === "string") return refuse(400, note);
    const checkpoint = readCheckpoint(note.text);
    if (!checkpoint) return refuse(400, "not the text of a checkpoint: origin, size, root");
    const keys = logs.filter(({ name }) => name === checkpoint.origin);
    if (keys.length === 0) return refuse(404, `unknown log ${checkpoint.origin}`);
    const signed = await Promise.all(
      keys.map((key) => linesOf(note, key).length === 1 && verifyLine({ note, checkpoint }, key)),
    );
    if (!signed.includes(true)) return refuse(403, `not signed by ${checkpoint.origin}`);
    const { old, proof } = submission;
    if (old > checkpoint.size)
      return refuse(400, `a tree of ${checkpoint.size} does not extend one of ${old}`);
    const seen = await state.read(checkpoint.origin);
    if (seen.size !== old) return conflict(seen);
    if (old === checkpoint.size && !equal(seen.root, checkpoint.root)) return conflict(seen);
    if (!verifyConsistency(old, checkpoint.size, seen.root, checkpoint.root, proof))
      return refuse(422, `the proof does not show that it extends the tree of ${old} that was cosigned`);
    // A clock that was set back must not have the witness say that it had seen less then than it had.
    const at = Math.max(now(), seen.at);
    const lines = await Promise.all(
      this.#options.cosigners.map((one) => cosign(one, note.text, checkpoint, at)),
    );
    await state.write({ ...checkpoint, at });
    return { status: 200, body: lines.join("") };
  }
}

async function cosign(
  { key, sign }: Cosigner,
  text: string,
  checkpoint: Checkpoint,
  at: number,
): Promise<string> {
  const message =
    key.type === COSIGNATURE ? cosignatureMessage(at, text) : subtreeMessage(key.name, at, checkpoint);
  return noteLine(key, concat([u64(at), await sign(message)]));
}

/** What is said of a log at start. */
export const describe = ({ origin, size, root }: Seen): string =>
  size === 0 ? `${origin}: never cosigned` : `${origin}: ${size} entries, root ${toBase64(root)}`;
