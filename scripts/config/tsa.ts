/** The certificates of the timestamp authority, read from the file that the configuration names. They are no secret. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { readOrder, writeCertificates } from "#durable/proof/timestamp/certificate.ts";
import { reason } from "./finding.ts";

/** As they are published: PEM, and nothing between them. Or what is wrong with them. */
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
