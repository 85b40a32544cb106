/** What the detectors find in bytes that are all there: a file of a push, a field of a request. */
import type { Finding } from "#durable/format/mask/finding.ts";
import { type Rules, Scan } from "./pattern/scan.ts";

/** So many of one text say enough of it. */
const FINDINGS_MAX = 1_000;

/** Finds in time proportional to the length of `bytes`. `path` is what the findings name; the first 1,000 are told. */
export function detect(bytes: Uint8Array, path: string, rules: Rules): Finding[] {
  const findings: Finding[] = [];
  let at = 0;
  const scan = new Scan(rules, {
    pass: (length) => {
      at += length;
    },
    hide: () => undefined,
    skip: (length) => {
      at += length;
    },
    hid: ({ rule, severity, length, sha256 }) => {
      if (findings.length >= FINDINGS_MAX) return;
      const { detector, name } = rule;
      findings.push({ detector, rule: name, severity, path, off: at - length, len: length, sha256 });
    },
  });
  scan.push(bytes);
  scan.end();
  return findings;
}
