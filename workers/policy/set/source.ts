/** Policy files as text: which files count, what identifies a set of them, and where each policy starts. */

export type PolicyFile = { readonly name: string; readonly bytes: Uint8Array };

/** What is wrong with a policy directory, or merely odd about it, and where. */
export type PolicyFinding = {
  readonly file: string;
  readonly line?: number;
  readonly message: string;
  readonly hint?: string;
};

/** One policy of a file, from its first letter to its semicolon. */
export type Statement = {
  readonly text: string;
  /** 1-based line of the first letter. */
  readonly line: number;
  /** How deep its brackets nest. */
  readonly depth: number;
  /** How many operators it has: each may cost the evaluator a level of recursion. */
  readonly operators: number;
};

/**
 * Cedar recurses, and overrunning its stack breaks it for good (it does at 100 to 200 brackets or 200 to 400
 * operators), so a policy is measured before Cedar reads it. The two limits together stay within the stack.
 */
export const DEPTH_MAX = 32;
export const OPERATORS_MAX = 100;

/** Files below the directory that are policies; dotfiles and other endings are not. */
export const isPolicyName = (name: string): boolean => name.endsWith(".cedar") && !name.startsWith(".");

export function byName(files: readonly PolicyFile[]): PolicyFile[] {
  return files.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * The digest that names a set in every decision: SHA-256, lower-case hex, over for each file, sorted by name,
 * its name, NUL, its length in decimal, NUL, its bytes.
 */
export async function digestOf(files: readonly PolicyFile[]): Promise<string> {
  const parts = byName(files).flatMap((file) => [
    new TextEncoder().encode(`${file.name}\0${file.bytes.length}\0`),
    file.bytes,
  ]);
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Strings, comments (Cedar ends one at LF or CR), and the marks that split, nest or recurse.
const TOKEN = /"(?:[^"\\]|\\[\s\S])*"?|\/\/[^\n\r]*|::|&&|\|\||\b(?:if|when|unless)\b|[;()[\]{}.!*+-]|\S/g;

/** Cuts a file at its semicolons. What Cedar then makes of each piece is Cedar's business. */
export function statements(text: string): Statement[] {
  const found: Statement[] = [];
  let start = -1;
  let end = 0;
  let open = 0;
  let depth = 0;
  let operators = 0;
  const close = () => {
    if (start >= 0) found.push({ text: text.slice(start, end), line: lineAt(text, start), depth, operators });
    start = -1;
    open = depth = operators = 0;
  };
  for (const match of text.matchAll(TOKEN)) {
    const token = match[0];
    if (token.startsWith("//")) continue;
    if (start < 0) start = match.index;
    end = match.index + token.length;
    if (token === ";") close();
    else if ("([{".includes(token)) depth = Math.max(depth, ++open);
    else if (")]}".includes(token)) open--;
    else if (/^(?:&&|\|\||if|when|unless|[.!*+-])$/.test(token)) operators++;
  }
  close();
  return found;
}

/** 1-based line of an offset in UTF-16 units. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** 1-based line of an offset in UTF-8 bytes, as Cedar counts. */
export function lineAtByte(text: string, offset: number): number {
  let line = 1;
  for (const byte of new TextEncoder().encode(text).subarray(0, offset)) if (byte === 10) line++;
  return line;
}
