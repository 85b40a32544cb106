/** Our clock against others': tokens, S3 signatures and retention all depend on it. */
import { error, type Finding, ok, warning } from "#scripts/config/finding.ts";

const WARN_SECONDS = 5;
const FAIL_SECONDS = 60;

/** Compares a response's Date header, which has whole seconds, with `now` in milliseconds. */
export function clock(at: string, headers: Headers, now: number): Finding[] {
  const theirs = Date.parse(headers.get("date") ?? "");
  if (Number.isNaN(theirs)) return [];
  const apart = Math.round((now - theirs) / 1000);
  const text = `our clock is ${Math.abs(apart)} s ${apart < 0 ? "behind" : "ahead of"} it`;
  if (Math.abs(apart) >= FAIL_SECONDS) return [error(`clock, ${at}`, text)];
  if (Math.abs(apart) >= WARN_SECONDS) return [warning(`clock, ${at}`, text)];
  return [ok(`clock, ${at}`, `within ${WARN_SECONDS} s`)];
}
