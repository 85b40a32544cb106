// A log that a test makes grow, or fork: signed checkpoints of any of its sizes, and the proofs between them.
import { toBase64, utf8 } from "#durable/proof/bytes.ts";
import { type Checkpoint, type LogSigner, signCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { writeSubmission } from "#durable/proof/log/submission.ts";
import { leafHash, rootOf } from "#durable/proof/merkle.ts";
import { consistencyProof } from "#durable/proof/proofs.ts";

export class GrowingLog {
  readonly #signer: LogSigner;
  readonly #leaves: readonly Uint8Array[];

  /** Of `size` entries; from `forked` on, of others than a log without it. */
  constructor(signer: LogSigner, size: number, forked = size) {
    this.#signer = signer;
    this.#leaves = Array.from({ length: size }, (_, i) =>
      leafHash(utf8(`entry ${i}${i < forked ? "" : " forked"}`)),
    );
  }

  checkpoint(size: number): Checkpoint {
    return { origin: this.#signer.keys.ed25519.name, size, root: rootOf(this.#leaves, 0, size) };
  }

  note(size: number, at = 1_795_330_800): Promise<string> {
    return signCheckpoint(this.checkpoint(size), at, this.#signer);
  }

  proof(old: number, size: number): Uint8Array[] {
    return consistencyProof(this.#leaves, old, size);
  }

  /** The body of an add-checkpoint from `old` to `size`. */
  async submission(
    old: number,
    size: number,
    proof = old < size ? this.proof(old, size) : [],
  ): Promise<string> {
    return writeSubmission({ old, proof, note: await this.note(size) });
  }

  root(size: number): string {
    return toBase64(this.checkpoint(size).root);
  }
}
