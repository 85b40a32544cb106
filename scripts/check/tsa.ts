/** Whether the timestamp authority answers, under which policy, with which clock, and what Sigstore's clients make of it. */
import { randomBytes } from "node:crypto";
import { readCertificates } from "#durable/proof/timestamp/certificate.ts";
import { tsaClient } from "#durable/store/log/tsa.ts";
import { error, type Finding, ok, warning } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";

const TIMEOUT_MS = 5_000;
const APART_SECONDS = 60;

/** Asks for one timestamp, over random bytes. A warning is all that is found of it: nothing waits for an authority. */
export async function tsa({ evidence }: Settings): Promise<Finding[]> {
  if (evidence.tsa === undefined) return [];
  const { url, chain: pem } = evidence.tsa;
  const at = `tsa ${url.base}`;
  const chain = pem === undefined ? [] : readCertificates(pem);
  if (typeof chain === "string") return [error(at, chain)];
  const client = tsaClient({
    ...{ url: url.base, chain, timeoutMs: TIMEOUT_MS, restMs: 0 },
    ...{
      fetch: (to, init) => fetch(to, init),
      now: () => Date.now(),
      random: (length) => randomBytes(length),
    },
  });
  const asked = Date.now();
  const { stamps, absent } = await client.stamp([new Uint8Array(randomBytes(32))]);
  const token = stamps[0]?.token;
  if (!token) return [warning(at, absent ?? "it does not answer")];
  const apart = Math.round((asked - token.at) / 1000);
  // Its times may have whole seconds.
  const clock =
    Math.abs(apart) <= 1
      ? "our clock is within a second of it"
      : `our clock is ${Math.abs(apart)} s ${apart < 0 ? "behind" : "ahead of"} it`;
  const said = `answers under policy ${token.policy} in ${Date.now() - asked} ms; ${clock}`;
  return [Math.abs(apart) >= APART_SECONDS ? error(at, said) : ok(at, said), ...seals(at, chain)];
}

function seals(at: string, chain: ReturnType<typeof readCertificates>): Finding[] {
  if (chain.length === 0)
    return [
      warning(at, "without tsa_cert its answers are not verified, and seals bear none: checkpoints do"),
    ];
  const ecdsa =
    typeof chain !== "string" &&
    chain.every(({ kind, algorithm }) => kind === "ecdsa" && algorithm.kind === "ecdsa");
  return ecdsa
    ? []
    : [ok(at, "signs with RSA, which @sigstore/verify does not read: seals bear none, checkpoints do")];
}
