/** What reading a configuration, or checking an installation, has to say: one line each. */
export type Finding = {
  /** `error` stops `steno serve`; `warning` does not; `ok` is something that was looked at and is right. */
  readonly level: "error" | "warning" | "ok";
  /** `steno.toml:12`, or what was looked at: `upstream payments`. */
  readonly at: string;
  readonly text: string;
};

export const error = (at: string, text: string): Finding => ({ level: "error", at, text });
export const warning = (at: string, text: string): Finding => ({ level: "warning", at, text });
export const ok = (at: string, text: string): Finding => ({ level: "ok", at, text });

export const line = (finding: Finding): string => `${finding.level}: ${finding.at}: ${finding.text}`;

export const failed = (findings: readonly Finding[]): boolean =>
  findings.some((finding) => finding.level === "error");

/** The message of whatever was thrown, with its causes, on one line. */
export function reason(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const code = "code" in thrown && typeof thrown.code === "string" && !thrown.message.includes(thrown.code);
  const own = code ? `${thrown.message} (${String(thrown.code)})` : thrown.message;
  const text = thrown.cause === undefined ? own : `${own}: ${reason(thrown.cause)}`;
  return text.replaceAll(/\s*\n\s*/g, " ");
}
