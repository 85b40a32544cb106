/** The values of steno.toml that are more than a string or a number. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as v from "valibot";
import { type NoteKey, readVkey } from "#durable/proof/log/note.ts";
import { WITNESS_TYPES } from "#durable/proof/log/policy.ts";
import { readOrder, writeCertificates } from "#durable/proof/timestamp/certificate.ts";
import { reason } from "./finding.ts";

/** Where a socket listens. `host` is an address, never a name. */
export type Address = { readonly host: string; readonly port: number };

export const showAddress = ({ host, port }: Address): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

export const isLoopback = (host: string): boolean => /^(127\.|localhost$|\[?::1\]?$)/.test(host);

export const ListenAddress = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): Address => {
    const match = /^(?:\[([0-9a-fA-F:]+)\]|(\*|localhost|\d{1,3}(?:\.\d{1,3}){3})):(\d{1,5})$/.exec(
      dataset.value,
    );
    const port = Number(match?.[3]);
    if (match === null || port > 65535) {
      addIssue({
        message: `"${dataset.value}" is not an address to listen on, such as "127.0.0.1:8787" or "[::1]:8787"`,
      });
      return NEVER;
    }
    const name = match[1] ?? match[2] ?? "";
    return { host: name === "*" ? "0.0.0.0" : name === "localhost" ? "127.0.0.1" : name, port };
  }),
);

/** A URL we connect to: scheme, host and port, and a base path without its trailing slash. */
export type Remote = {
  readonly scheme: "http" | "https" | "git";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Scheme, host, port and path, with no trailing slash. */
  readonly base: string;
};

const PORTS = { http: 80, https: 443, git: 9418 } as const;

export function parseRemote(text: string, schemes: readonly Remote["scheme"][]): Remote | string {
  const wanted = schemes.map((scheme) => `${scheme}://`).join(" or ");
  const scheme = schemes.find((known) => text.toLowerCase().startsWith(`${known}://`));
  if (scheme === undefined) return `must be a URL that starts with ${wanted}`;
  // The URL parser has rules for http only; git:// has the same syntax.
  const web = scheme === "git" ? `http${text.slice(3)}` : text;
  if (!URL.canParse(web)) return `is not a URL that starts with ${wanted}`;
  const url = new URL(web);
  if (url.username !== "" || url.password !== "")
    return "must not contain a user or password: use credential";
  if (url.search !== "" || url.hash !== "") return "must not have a query or fragment";
  const port = scheme === "git" ? gitPort(text) : url.port === "" ? PORTS[scheme] : Number(url.port);
  const path = url.pathname.replace(/\/+$/, "");
  const origin = scheme === "git" ? `git://${url.hostname}:${port}` : url.origin;
  return { scheme, host: url.hostname, port, path, base: origin + path };
}

// As an http URL, git://host:80 would lose its port.
const gitPort = (text: string): number =>
  Number(/^git:\/\/[^/]*?:(\d+)(?:\/|$)/i.exec(text)?.[1] ?? PORTS.git);

const remote = (...schemes: Remote["scheme"][]) =>
  v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }): Remote => {
      const parsed = parseRemote(dataset.value, schemes);
      if (typeof parsed !== "string") return parsed;
      addIssue({ message: parsed });
      return NEVER;
    }),
  );

export const WebUrl = remote("http", "https");
export const GitUrl = remote("http", "https", "git");
export const WebOrigin = v.pipe(
  WebUrl,
  v.check(({ path }) => path === "", "must be a scheme, host and port without a path"),
);

/** A witness of the log: `vkey` is read, `url` is its submission prefix (C2SP tlog-witness). */
export type WitnessAt = { readonly vkey: string; readonly key: NoteKey; readonly url: Remote };

/** `VKEY URL`, as C2SP tlog-policy writes the two. */
export const WitnessText = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): WitnessAt => {
    const [vkey = "", at = "", ...more] = dataset.value.trim().split(/[ \t]+/);
    const key = readVkey(vkey);
    const url = parseRemote(at, ["http", "https"]);
    const problem =
      at === "" || more.length > 0
        ? 'must be "VKEY URL": what steno witness prints, and where it is'
        : typeof key === "string"
          ? `${vkey.slice(0, 60)} is ${key}`
          : !WITNESS_TYPES.includes(key.type)
            ? `a key of type ${key.type} does not cosign: 4 (Ed25519) and 6 (ML-DSA-44) do`
            : typeof url === "string"
              ? `${at} ${url}`
              : undefined;
    if (problem === undefined && typeof key !== "string" && typeof url !== "string")
      return { vkey, key, url };
    addIssue({ message: problem ?? "is no witness" });
    return NEVER;
  }),
);

/**
 * The certificates of the timestamp authority that `file:PATH` names, as they are published: PEM, and nothing between
 * them. Or what is wrong with them. They are no secret.
 */
export function readTsaChain(text: string, base: string): { readonly pem: string } | { readonly no: string } {
  const [, file] = /^file:(.+)$/.exec(text) ?? [];
  if (file === undefined)
    return { no: 'must be "file:PATH": certificates in PEM, the authority\'s own first' };
  const path = resolve(base, file);
  try {
    const chain = readOrder(readFileSync(path, "utf8"));
    if (typeof chain === "string") return { no: `${path}: ${chain}` };
    const certificates = chain.map(({ der }) => new X509Certificate(der));
    for (const [i, certificate] of certificates.entries())
      if (!certificate.verify((certificates[i + 1] ?? certificate).publicKey))
        return { no: `${path}: the signature of certificate ${i + 1} does not hold` };
    return { pem: writeCertificates(chain) };
  } catch (thrown) {
    return { no: `${path} cannot be read: ${reason(thrown)}` };
  }
}

export const whole = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(least, message), v.maxValue(most, message));
};

export const word = v.pipe(v.string(), v.nonEmpty("must not be empty"));
