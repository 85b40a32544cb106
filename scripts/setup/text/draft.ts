/** A text that only grows: what is put in can be taken out again, byte for byte. */

/** `at` is where it stands in the text that it is part of, in UTF-16 code units. */
export type Inserted = { readonly at: number; readonly text: string };

export class Draft {
  #text: string;
  #inserted: readonly { readonly from: number; readonly to: number }[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }

  insert(at: number, text: string): void {
    const { length } = text;
    this.#text = this.#text.slice(0, at) + text + this.#text.slice(at);
    let inside = false;
    const moved = this.#inserted.map(({ from, to }) => {
      if (to < at) return { from, to };
      if (from > at || inside) return { from: from + length, to: to + length };
      // At the edge of what was put in before, or within it: one piece.
      inside = true;
      return { from, to: to + length };
    });
    const whole = inside ? moved : [...moved, { from: at, to: at + length }];
    this.#inserted = whole.toSorted((a, b) => a.from - b.from);
  }

  /** In order of where they stand. */
  inserted(): readonly Inserted[] {
    return this.#inserted.map(({ from, to }) => ({ at: from, text: this.#text.slice(from, to) }));
  }
}

/** The text without what was put in; undefined when that is not what stands there. */
export function without(text: string, inserted: readonly Inserted[]): string | undefined {
  let kept = text;
  for (const { at, text: own } of inserted.toSorted((a, b) => b.at - a.at)) {
    if (kept.slice(at, at + own.length) !== own) return undefined;
    kept = kept.slice(0, at) + kept.slice(at + own.length);
  }
  return kept;
}
