/** What the gateway remembers of sessions' taints. Being wrong costs one more decision: the recorder holds it to the truth. */
import { type Opening, sessionKey } from "#durable/format/tape.ts";

const REMEMBERED_MAX = 4_096;

export class Taints {
  readonly #known = new Map<string, readonly string[]>();

  /** Sorted; none of a session that nobody has told of. */
  of(opening: Opening): readonly string[] {
    return this.#known.get(keyOf(opening)) ?? [];
  }

  learn(opening: Opening, taints: readonly string[]): void {
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(keyOf(opening), taints);
  }
}

const keyOf = (opening: Opening): string => `${opening.session ?? ""} ${sessionKey(opening)}`;
