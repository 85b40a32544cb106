/** What the detectors find in bytes that are all there: a file of a push, a field of a request. */
import type { Finding } from "#durable/format/mask/finding.ts";
import { type Rules, Scan } from "./pattern/scan.ts";

/** So many of one text say enough of it. */
const FINDINGS_MAX = 1_000;

export type Found = Omit<Finding, "path">;

/** Finds in text that comes in pieces, and tells each finding as soon as it is sure. */
export class Detection {
  readonly #scan: Scan;
  #at = 0;

  constructor(rules: Rules, tell: (found: Found) => void) {
    const pass = (length: number) => {
      this.#at += length;
    };
    this.#scan = new Scan(rules, {
      pass,
      hide: () => undefined,
      skip: pass,
      hid: ({ rule, severity, length, sha256 }) => {
        const { detector, name } = rule;
        tell({ detector, rule: name, severity, off: this.#at - length, len: length, sha256 });
      },
    });
  }

  /** `bytes` are not kept. */
  push(bytes: Uint8Array): void {
    this.#scan.push(bytes);
  }

  end(): void {
    this.#scan.end();
  }
}

/** Finds in time proportional to the length of `bytes`. `path` is what the findings name; the first 1,000 are told. */
export function detect(bytes: Uint8Array, path: string, rules: Rules): Finding[] {
  const findings: Finding[] = [];
  const detection = new Detection(rules, (found) => {
    if (findings.length < FINDINGS_MAX) findings.push({ ...found, path });
  });
  detection.push(bytes);
  detection.end();
  return findings;
}
