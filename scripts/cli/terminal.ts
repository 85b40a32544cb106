/** What a command reads and writes beside its arguments. */

export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
};

export const TERMINAL: Terminal = {
  env: process.env,
  out: (line) => console.log(line),
  err: (line) => console.error(line),
};

/** Text from elsewhere as one line that cannot steer a terminal or turn the text around it. */
export const oneLine = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, "\u{fffd}");
