/** What a verifier reports. A code says what is wrong, an object says where, and the two verdicts follow from the codes. */

/** A note is nothing wrong: something was not looked into, and that is said. */
export type Severity = "error" | "warning" | "note";
/** What a code does to the verdicts: nothing, or bytes are not what was sealed, or something is not there. */
type Effect = "none" | "invalid" | "degraded" | "incomplete";

const CODES = {
  object_missing: ["error", "incomplete"],
  object_unknown: ["warning", "none"],
  key_missing: ["error", "incomplete"],
  key_malformed: ["error", "invalid"],
  /** Neither the archive nor the auditor has one that can be used: nothing is known to be signed by anybody. */
  key_none: ["error", "invalid"],
  /** The key is a key, but not the one that signed the heads, or not the one the auditor holds. */
  key_other: ["error", "invalid"],
  entry_missing: ["error", "incomplete"],
  entry_duplicate: ["error", "invalid"],
  /** What stands in the log for a head is not made of it. */
  entry_body: ["error", "invalid"],
  /** It is not in the tree it says it is in. */
  entry_proof: ["error", "invalid"],
  checkpoint_missing: ["error", "incomplete"],
  checkpoint_malformed: ["error", "invalid"],
  checkpoint_origin: ["error", "invalid"],
  checkpoint_signature: ["error", "invalid"],
  /** The entries do not make its root. */
  checkpoint_root: ["error", "invalid"],
  /** Older than others the log has signed. */
  checkpoint_behind: ["error", "invalid"],
  /** Signed by somebody whose key is not known: nothing is said of that. */
  checkpoint_stranger: ["warning", "none"],
  /** A witness's line on it that the witness did not sign. */
  cosignature_forged: ["error", "invalid"],
  /** Fewer witnesses cosigned it than the policy asks for: who holds the log's keys could show others another one. */
  checkpoint_uncosigned: ["warning", "degraded"],
  /** The auditor asks for timestamps, and it has none: when it was made, only the node's clock says. */
  timestamp_missing: ["warning", "degraded"],
  /** Not a timestamp, of other bytes, or not signed by an authority that is trusted. */
  timestamp_forged: ["error", "invalid"],
  /** A checkpoint says a later time than its timestamp: the node's clock was ahead. */
  timestamp_early: ["warning", "none"],
  /** The certificates of timestamp authorities in the archive that cannot be read, or are not what their name says. */
  tsa_malformed: ["error", "invalid"],
  /** A witness policy that cannot be read, is of another log, or is not what its name says. */
  policy_malformed: ["error", "invalid"],
  /** The log does not extend the checkpoint that the auditor holds. */
  log_not_extended: ["error", "invalid"],
  /** A log that does not seal the one before it, or one that was not to go on. */
  shard_unlinked: ["error", "invalid"],
  /** A log has ended, and the one that goes on is not there. */
  shard_missing: ["error", "incomplete"],
  tile_missing: ["error", "incomplete"],
  tile_altered: ["error", "invalid"],
  head_malformed: ["error", "invalid"],
  head_key: ["error", "invalid"],
  head_signature: ["error", "invalid"],
  /** From another ledger, or made for another session. */
  head_origin: ["error", "invalid"],
  /** A seal in the folder of another session, or frames that say they are of another session. */
  head_session: ["error", "invalid"],
  /** It names a checkpoint that was not there before it. */
  head_not_before: ["error", "invalid"],
  head_sequence: ["error", "invalid"],
  head_previous: ["error", "invalid"],
  head_consistency: ["error", "invalid"],
  head_root: ["error", "invalid"],
  head_counts: ["error", "invalid"],
  /** Not the policy set of the decision before it. */
  head_policy: ["error", "invalid"],
  /** Not the verdict that its frames give. */
  head_completeness: ["error", "invalid"],
  head_subjects: ["error", "invalid"],
  head_segments: ["error", "invalid"],
  seal_differs: ["error", "invalid"],
  attestation_malformed: ["error", "invalid"],
  attestation_key: ["error", "invalid"],
  attestation_signature: ["error", "invalid"],
  /** From another log. */
  attestation_origin: ["error", "invalid"],
  /** It speaks of something the log does not know, or contradicts what it said before. */
  attestation_contradicts: ["error", "invalid"],
  /** A kind this version does not know: later versions add some. */
  attestation_unknown: ["warning", "none"],
  segment_altered: ["error", "invalid"],
  segment_unreadable: ["error", "invalid"],
  segment_range: ["error", "invalid"],
  session_open: ["warning", "incomplete"],
  session_truncated: ["warning", "degraded"],
  session_gap: ["warning", "degraded"],
  /** Hooks claimed what never passed: it may have gone elsewhere. */
  session_unseen: ["warning", "incomplete"],
  /** It passed, and no hook had claimed it. */
  session_unclaimed: ["warning", "degraded"],
  /** An agent's conversation in which no hook spoke. */
  session_unhooked: ["warning", "degraded"],
  /** Its agent never told that it had ended. */
  session_unended: ["warning", "degraded"],
  frame_size: ["error", "invalid"],
  frame_encoding: ["error", "invalid"],
  frame_prefix: ["error", "invalid"],
  frame_sequence: ["error", "invalid"],
  frame_time: ["warning", "none"],
  frame_shape: ["error", "invalid"],
  /** A kind this version does not know: later versions add some. */
  frame_kind: ["warning", "none"],
  /** A session that does not begin or end as one. */
  frame_place: ["error", "invalid"],
  exchange_order: ["error", "invalid"],
  decision_missing: ["error", "invalid"],
  /** What hooks claimed and what passed are not joined as the frames have them. */
  join_differs: ["error", "invalid"],
  bytes_range: ["error", "invalid"],
  bytes_gap: ["error", "invalid"],
  bytes_overlap: ["error", "invalid"],
  bytes_digest: ["error", "invalid"],
  body_gap: ["error", "invalid"],
  body_overlap: ["error", "invalid"],
  body_end: ["error", "incomplete"],
  /** A disclosed frame is not proved to be in the session. */
  frame_proof: ["error", "invalid"],
  commit_missing: ["error", "invalid"],
  push_differs: ["error", "invalid"],
  pack_malformed: ["error", "invalid"],
  /** Larger than this verifier holds in memory: nothing is said of its commits. */
  pack_unchecked: ["warning", "none"],
  /** Its frames are encrypted, and no identity was given: ciphertext, hashes and heads were verified, frames were not. */
  session_sealed: ["note", "none"],
  /** Its key was destroyed, as the log says: the same was verified, and nobody can read more. */
  session_erased: ["note", "none"],
  /** The log says that it is to be erased, and not that it was. */
  erasure_open: ["warning", "none"],
  /** It cannot be read, and the log does not say why. */
  session_key_missing: ["error", "incomplete"],
  /** It is not for the identity that was given, or not a key. */
  session_key_unreadable: ["error", "none"],
  /** It was destroyed, as the log says, and it is there. */
  session_key_kept: ["error", "none"],
  /** Not the file of the day's sessions that the log speaks of; nothing rests on it. */
  index_altered: ["error", "none"],
  /** Not what a probe of the store puts there; nothing rests on it. */
  probe_altered: ["error", "none"],
  retention_short: ["error", "none"],
  /** What was sealed is there, and whoever reads the store without a version id gets something else. */
  object_covered: ["warning", "none"],
} as const satisfies Record<string, readonly [Severity, Effect]>;

export type FindingCode = keyof typeof CODES;

export type Finding = {
  readonly severity: Severity;
  /** Archive key of the object, or of the folder when the object is not there to have one. */
  readonly object: string;
  readonly code: FindingCode;
  readonly message: string;
};

export type Integrity = "VALID" | "INVALID";
export type Completeness = "COMPLETE" | "DEGRADED" | "INCOMPLETE";
export type Verdict = { readonly integrity: Integrity; readonly completeness: Completeness };

export type Report = (code: FindingCode, object: string, message: string) => void;

/** What was found somewhere else, as plain values: those that were kept, and how many there were of each code and object. */
export type Found = {
  readonly kept: readonly Finding[];
  readonly counts: readonly (readonly [string, number])[];
};

/** Findings of one code in one object beyond this many are counted, not kept: a bad object cannot exhaust memory. */
const KEPT = 20;

export class Findings {
  readonly #kept: Finding[] = [];
  readonly #counts = new Map<string, number>();
  readonly #codes = new Set<FindingCode>();

  readonly report: Report = (code, object, message) => {
    const key = `${code} ${object}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    this.#codes.add(code);
    if (count <= KEPT) this.#kept.push({ severity: CODES[code][0], object, code, message });
  };

  found(): Found {
    return { kept: this.#kept, counts: [...this.#counts] };
  }

  /** As if it had been reported here. */
  add({ kept, counts }: Found): void {
    for (const finding of kept) {
      const { code, object, message } = finding;
      this.report(code, object, message);
    }
    const there = new Map<string, number>();
    for (const { code, object } of kept) {
      const key = `${code} ${object}`;
      there.set(key, (there.get(key) ?? 0) + 1);
    }
    for (const [key, count] of counts)
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + count - (there.get(key) ?? 0));
  }

  /** In the order they were found, each group followed by how many more there were. */
  list(): Finding[] {
    const more: Finding[] = [];
    for (const { code, object, severity } of new Map(
      this.#kept.map((f) => [`${f.code} ${f.object}`, f]),
    ).values()) {
      const count = this.#counts.get(`${code} ${object}`) ?? 0;
      if (count > KEPT) more.push({ severity, object, code, message: `and ${count - KEPT} more like these` });
    }
    return [...this.#kept, ...more];
  }

  get verdict(): Verdict {
    const effects = new Set([...this.#codes].map((code): Effect => CODES[code][1]));
    return {
      integrity: effects.has("invalid") ? "INVALID" : "VALID",
      completeness: effects.has("incomplete")
        ? "INCOMPLETE"
        : effects.has("degraded")
          ? "DEGRADED"
          : "COMPLETE",
    };
  }
}
