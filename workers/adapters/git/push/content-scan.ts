/** Looks for what the detectors know in all that a pack brings, as its objects come by: files, and messages. */
import { SEVERITIES, type Severity } from "#durable/format/decision.ts";
import { DETECTORS } from "#durable/format/mask/finding.ts";
import { isBinary } from "#workers/mask/analysis/texts.ts";
import { Detection, type Found } from "#workers/mask/detect.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import type { Bytes, Kind } from "../pack/bytes.ts";
import type { Settled } from "../pack/whole-pack.ts";

/** Bytes of one push that are looked into. */
const SCAN_MAX = 512 * 1024 * 1024;
/** Findings of one detector that are kept, of one object and of a push. */
const OBJECT_MAX = 200;
const PUSH_MAX = 2_000;
/** As git tells bytes from text: by a NUL among the first so many. */
const BINARY_WITHIN = 8_000;

export type InObject = { readonly kind: Kind; readonly found: readonly Found[] };

export type ScannedContent = {
  /** By the object's id, those in which something was found. */
  readonly objects: ReadonlyMap<string, InObject>;
  /** Detectors that found more than is kept: how much, and how severe it is at most. */
  readonly more: ReadonlyMap<string, { readonly count: number; readonly severity: Severity }>;
  /** Bytes that were not looked into. */
  readonly unscanned: number;
  /** Files that are text, by the object's id, for those who look into them whole. */
  readonly texts: ReadonlyMap<string, string>;
  /** Bytes of text that are not among them for want of room. */
  readonly unkept: number;
  /** What was found in them, by rule and digest: to tell it from what was there before. */
  readonly words?: ReadonlyMap<string, string>;
};

/** Whether a detector counts: an address beside a commit's author, or a number that random bytes happen to spell, says nothing. */
const counts = (detector: string, what: "text" | "binary" | "message"): boolean =>
  what === "text" ||
  (what === "message" ? detector !== "email" : detector === "secrets" || !isBuiltIn(detector));

const isBuiltIn = (detector: string): boolean => (DETECTORS as readonly string[]).includes(detector);

export class ContentScan implements ScannedContent {
  readonly objects = new Map<string, InObject>();
  readonly more = new Map<string, { readonly count: number; readonly severity: Severity }>();
  readonly texts = new Map<string, string>();
  unscanned = 0;
  unkept = 0;
  readonly #rules: Rules;
  readonly #keepsTexts: boolean;
  #room: number;
  readonly #kept = new Map<string, number>();
  #scanned = 0;
  /** The large file that is coming by. */
  #large: ObjectScan | undefined;

  /** `textMax` is how many bytes of text are kept. */
  constructor(rules: Rules, textMax: number) {
    this.#rules = rules;
    this.#room = textMax;
    this.#keepsTexts = textMax > 0;
  }

  through(piece: Bytes): void {
    this.#large ??= this.#begin("text");
    this.#look(this.#large, piece);
  }

  see({ kind, id, size, content }: Settled): void {
    if (kind === "tree") return;
    if (this.#keepsTexts && kind === "blob") this.#keep(id, size, content);
    const scan = this.#large ?? this.#begin(kind === "blob" ? "text" : "message");
    this.#large = undefined;
    if (content) this.#look(scan, content);
    scan.end();
    const { found } = scan;
    if (found.length > 0) this.objects.set(id, { kind, found });
  }

  #keep(id: string, size: number, content: Bytes | undefined): void {
    if ((content && isBinary(content)) || this.texts.has(id)) return;
    if (!content || size > this.#room) this.unkept += size;
    else {
      this.#room -= size;
      this.texts.set(id, new TextDecoder().decode(content));
    }
  }

  #begin(what: "text" | "message"): ObjectScan {
    return new ObjectScan(this.#rules, what, (found, kept) => this.#keeps(found, kept));
  }

  #look(scan: ObjectScan, bytes: Bytes): void {
    const room = Math.max(SCAN_MAX - this.#scanned, 0);
    this.#scanned += bytes.byteLength;
    this.unscanned += Math.max(bytes.byteLength - room, 0);
    scan.push(bytes.subarray(0, room));
  }

  /** Whether a finding is kept, of whose detector its object has `kept` so far. */
  #keeps({ detector, severity }: Found, kept: number): boolean {
    const all = this.#kept.get(detector) ?? 0;
    if (kept < OBJECT_MAX && all < PUSH_MAX) {
      this.#kept.set(detector, all + 1);
      return true;
    }
    const { count, severity: most } = this.more.get(detector) ?? { count: 0, severity };
    const severest = SEVERITIES.findLast((one) => one === severity || one === most) ?? severity;
    this.more.set(detector, { count: count + 1, severity: severest });
    return false;
  }
}

class ObjectScan {
  readonly found: Found[] = [];
  readonly #detection: Detection;
  readonly #kept = new Map<string, number>();
  /** What of the object is said to be at its beginning, and bytes that came so far. */
  #what: "text" | "binary" | "message";
  #seen = 0;

  constructor(rules: Rules, what: "text" | "message", keeps: (found: Found, kept: number) => boolean) {
    this.#what = what;
    this.#detection = new Detection(rules, (found) => {
      if (!counts(found.detector, this.#what)) return;
      const kept = this.#kept.get(found.detector) ?? 0;
      if (!keeps(found, kept)) return;
      this.#kept.set(found.detector, kept + 1);
      this.found.push(found);
    });
  }

  push(bytes: Bytes): void {
    if (this.#what === "text" && bytes.subarray(0, Math.max(BINARY_WITHIN - this.#seen, 0)).includes(0))
      this.#what = "binary";
    this.#seen += bytes.byteLength;
    this.#detection.push(bytes);
  }

  end(): void {
    this.#detection.end();
  }
}
