/** C2SP tlog-policy: whose checkpoints they are, who witnesses them, and how many of those must have cosigned one. */
import { equal } from "../bytes.ts";
import type { LogKeys } from "./checkpoint.ts";
import { COSIGNATURE, ED25519, type KeyType, ML_DSA_44, type NoteKey, readVkey, writeVkey } from "./note.ts";

/** Of at least `threshold` of its members, each a witness or a group. */
type Group = { readonly threshold: number; readonly members: readonly string[] };

export type Policy = {
  readonly logs: readonly NoteKey[];
  /** By the name that the file gives them. */
  readonly witnesses: ReadonlyMap<string, NoteKey>;
  readonly groups: ReadonlyMap<string, Group>;
  /** A witness, a group, or `none`. */
  readonly quorum: string;
};

/** What a node is told: witnesses, and how many of them a checkpoint needs. */
export type Quorum = { readonly witnesses: readonly NoteKey[]; readonly threshold: number };

export const NO_QUORUM: Quorum = { witnesses: [], threshold: 0 };

const NONE = "none";
const LOG_TYPES: readonly KeyType[] = [ED25519, ML_DSA_44];
export const WITNESS_TYPES: readonly KeyType[] = [COSIGNATURE, ML_DSA_44];
/** Definitions of one file: what is verified with it is bounded. */
const DEFINITIONS_MAX = 256;

/** The policy of a node's log, as it is published. Without URLs: only the node asks witnesses. */
export function policyText({ ed25519 }: LogKeys, { witnesses, threshold }: Quorum): string {
  const names = witnesses.map((_, i) => `w${i}`);
  const lines = [
    `log ${writeVkey(ed25519)}`,
    ...witnesses.map((key, i) => `witness ${names[i]} ${writeVkey(key)}`),
    ...(threshold === 0 ? [] : [`group witnesses ${threshold} ${names.join(" ")}`]),
    `quorum ${threshold === 0 ? NONE : "witnesses"}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** The policy of a text, or what is wrong with it and in which line. */
export function readPolicy(text: string): Policy | string {
  const reading = new Reading();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the specification allows none but tab and newline
  if (/[\x00-\x08\x0b-\x1f\x7f]/.test(text))
    return "a policy holds no control characters but tab and newline";
  if (!text.endsWith("\n")) return "the last line of a policy ends in a newline";
  for (const [i, line] of text.slice(0, -1).split("\n").entries()) {
    const words = line.split(/[ \t]+/).filter((word) => word !== "");
    const [keyword = "#"] = words;
    if (keyword.startsWith("#")) continue;
    const wrong = reading.read(keyword, words.slice(1));
    if (wrong !== undefined) return `line ${i + 1}: ${wrong}`;
  }
  return reading.done();
}

class Reading {
  readonly #logs: NoteKey[] = [];
  readonly #witnesses = new Map<string, NoteKey>();
  readonly #groups = new Map<string, Group>();
  readonly #members = new Set<string>();
  #quorum: string | undefined;

  /** What is wrong with a line. */
  read(keyword: string, words: readonly string[]): string | undefined {
    if (this.#logs.length + this.#witnesses.size + this.#groups.size >= DEFINITIONS_MAX)
      return `more than ${DEFINITIONS_MAX} definitions`;
    const [first = "", second = "", ...rest] = words;
    switch (keyword) {
      case "log":
        if (words.length < 1 || words.length > 2) return "log VKEY [URL]";
        return this.#add(first, LOG_TYPES, this.#logs, (key) => void this.#logs.push(key));
      case "witness":
        if (words.length < 2 || words.length > 3) return "witness NAME VKEY [URL]";
        if (this.#known(first)) return `${first} is defined already`;
        return this.#add(
          second,
          WITNESS_TYPES,
          [...this.#witnesses.values()],
          (key) => void this.#witnesses.set(first, key),
        );
      case "group":
        if (words.length < 3) return "group NAME all|any|K MEMBER…";
        return this.#group(first, second, rest);
      case "quorum":
        if (words.length !== 1) return "quorum NAME";
        if (this.#quorum !== undefined) return "a second quorum";
        if (!this.#known(first)) return `${first} is not defined before it`;
        this.#quorum = first;
        return undefined;
      default:
        return `unknown keyword ${keyword}`;
    }
  }

  done(): Policy | string {
    if (this.#quorum === undefined) return "there is no quorum line";
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum };
  }

  #known(name: string): boolean {
    return name === NONE || this.#witnesses.has(name) || this.#groups.has(name);
  }

  #add(
    vkey: string,
    types: readonly KeyType[],
    known: readonly NoteKey[],
    add: (key: NoteKey) => void,
  ): string | undefined {
    const key = readVkey(vkey);
    if (typeof key === "string") return key;
    if (!types.includes(key.type)) return `a key of type ${key.type} does not sign this`;
    if (known.some(({ bytes }) => equal(bytes, key.bytes))) return "the same public key a second time";
    add(key);
    return undefined;
  }

  #group(name: string, threshold: string, members: readonly string[]): string | undefined {
    if (this.#known(name)) return `${name} is defined already`;
    for (const [i, member] of members.entries()) {
      if (member === NONE || !this.#known(member)) return `${member} is not defined before it`;
      if (this.#members.has(member) || members.indexOf(member) < i) return `${member} is in a group already`;
    }
    const least = threshold === "all" ? members.length : threshold === "any" ? 1 : readCount(threshold);
    if (!(least >= 1 && least <= members.length)) return `${threshold} of ${members.length} is no threshold`;
    for (const member of members) this.#members.add(member);
    this.#groups.set(name, { threshold: least, members });
    return undefined;
  }
}

const readCount = (text: string): number => (/^[1-9]\d{0,3}$/.test(text) ? Number(text) : Number.NaN);

/** Whether the witnesses that `cosigned` are enough. */
export function meetsQuorum(
  { witnesses, groups, quorum }: Policy,
  cosigned: (key: NoteKey) => boolean,
): boolean {
  const met = (name: string): boolean => {
    const key = witnesses.get(name);
    if (key) return cosigned(key);
    const group = groups.get(name);
    return group !== undefined && group.members.filter(met).length >= group.threshold;
  };
  return quorum === NONE || met(quorum);
}
