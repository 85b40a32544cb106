/** The detectors of a configuration, and their rules as one automaton for each choice of them. */
import type { MaskSettings } from "#workers/contract/settings.ts";
import { Automaton } from "./pattern/automaton.ts";
import { type Node, parsePattern } from "./pattern/parse.ts";
import { check, compile } from "./pattern/program.ts";
import type { Rules } from "./pattern/scan.ts";
import { wordsPattern } from "./pattern/words.ts";
import type { Rule } from "./rule.ts";
import { INJECTION } from "./rules/injection.ts";
import { PEOPLE } from "./rules/people.ts";
import { SECRETS } from "./rules/secrets.ts";

const BUILT_IN: readonly Rule[] = [...SECRETS, ...PEOPLE, ...INJECTION];

/** Throws `PatternError` when a pattern cannot be had: its text, or what it would match. */
export function readPattern(source: string): Node {
  const node = parsePattern(source);
  check(node);
  return node;
}

export class Detectors {
  readonly #rules: readonly Rule[];
  readonly #everywhere: readonly string[];
  readonly #known = new Map<string, Rules | undefined>();

  constructor({ detectors, patterns, dictionaries }: MaskSettings) {
    const own = (name: string, severity: Rule["severity"], match: Node): Rule => ({
      detector: name,
      name,
      severity,
      match,
    });
    this.#everywhere = detectors;
    this.#rules = [
      ...BUILT_IN,
      ...patterns.map(({ name, pattern, severity }) => own(name, severity, readPattern(pattern))),
      ...dictionaries.map(({ name, words, severity }) => own(name, severity, wordsPattern(words))),
    ];
  }

  /**
   * The rules of what is looked for everywhere, and of `more`, in which `*` is all; undefined when there are none.
   * Throws for a name nobody knows.
   */
  choose(more: readonly string[] = []): Rules | undefined {
    const all = more.includes("*") ? this.#rules.map(({ detector }) => detector) : more;
    const names = [...new Set([...this.#everywhere, ...all])].toSorted();
    const key = names.join(" ");
    if (!this.#known.has(key)) this.#known.set(key, this.#make(names));
    return this.#known.get(key);
  }

  #make(names: readonly string[]): Rules | undefined {
    const unknown = names.find((name) => !this.#rules.some(({ detector }) => detector === name));
    if (unknown !== undefined) throw new Error(`there is no detector named "${unknown}"`);
    const rules = this.#rules.filter(({ detector }) => names.includes(detector));
    return rules.length === 0 ? undefined : { rules, automaton: new Automaton(compile(rules)) };
  }
}
