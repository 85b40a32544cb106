/** Secrets are references until the moment they are used; nothing that is printed or generated holds their text. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { error, type Finding, reason, warning } from "./finding.ts";

export type SecretRef =
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly path: string };

/** What a secret's own text says of itself when it is no reference: never the text, which may be the secret. */
export type NoRef = { readonly no: string };

export function parseSecretRef(text: string, base: string): SecretRef | NoRef {
  const env = /^env:([A-Za-z_][A-Za-z0-9_]*)$/.exec(text);
  if (env?.[1] !== undefined) return { kind: "env", name: env[1] };
  if (text.startsWith("file:") && text.length > 5)
    return { kind: "file", path: resolve(base, text.slice(5)) };
  if (text.startsWith("vault:"))
    return { no: "vault: references are not available yet; use env:NAME or file:PATH" };
  return { no: "must be a reference, env:NAME or file:PATH, never the secret itself" };
}

export const showSecretRef = (ref: SecretRef): string =>
  ref.kind === "env" ? `env:${ref.name}` : `file:${ref.path}`;

export type Resolved = { readonly text?: string; readonly findings: readonly Finding[] };

/** Reads a secret; a trailing line end of a file is not part of it. */
export function resolveSecret(
  at: string,
  ref: SecretRef,
  env: Readonly<Record<string, string | undefined>>,
): Resolved {
  if (ref.kind === "env") {
    const text = env[ref.name];
    if (text === undefined) return { findings: [error(at, `environment variable ${ref.name} is not set`)] };
    if (text === "") return { findings: [error(at, `environment variable ${ref.name} is empty`)] };
    return { text, findings: [] };
  }
  try {
    const mode = statSync(ref.path).mode & 0o777;
    const text = readFileSync(ref.path, "utf8").replace(/\r?\n$/, "");
    if (text === "") return { findings: [error(at, `${ref.path} is empty`)] };
    const open = (mode & 0o044) === 0 ? [] : [warning(at, `${ref.path} is readable by others: chmod 600 it`)];
    return { text, findings: open };
  } catch (thrown) {
    return { findings: [error(at, `cannot read ${ref.path}: ${reason(thrown)}`)] };
  }
}
