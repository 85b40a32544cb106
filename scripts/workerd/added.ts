/** What steno.toml adds to a service, and the words that are used for all of them. */
import type { SecretRef } from "#scripts/config/secret.ts";
import type { Remote } from "#scripts/config/values.ts";
import type { BindingSpec, ServiceSpec, Transport } from "./spec.ts";

/** A secret, the variable of workerd's environment that carries it, and what to call it in findings. */
export type SecretUse = { readonly variable: string; readonly at: string; readonly ref: SecretRef };

export type Added = {
  readonly bindings: readonly BindingSpec[];
  /** Externals and disks that only this service is bound to. */
  readonly services: readonly ServiceSpec[];
  readonly secrets: readonly SecretUse[];
};

/** Where the generator finds what it embeds, relative to the configuration's directory. */
export const KEY_FILES = {
  clearance: "keys/clearance.key",
  pseudonym: "keys/pseudonym.key",
  sealKey: "keys/seal.pem",
  sealPub: "keys/seal.pub",
  logKey: "keys/log.pem",
  logPub: "keys/log.pub",
  logPqKey: "keys/log-pq.pem",
  logPqPub: "keys/log-pq.pub",
  previousLogKey: "keys/previous-log.pem",
  previousLogPub: "keys/previous-log.pub",
  previousLogPqKey: "keys/previous-log-pq.pem",
  previousLogPqPub: "keys/previous-log-pq.pub",
} as const;

/** Sockets of what runs beside workerd: directories that stand for buckets, and programs that are MCP servers. */
export type BesidePaths = {
  readonly directorySocket: string;
  readonly keysSocket: string;
  readonly programsSocket: string;
};

export const objectsDirectory = (state: string): string => `${state}/objects`;

export const addressOf = ({ host, port }: Remote): string => `${host}:${port}`;

export function transportOf({ scheme, host }: Remote): Transport {
  switch (scheme) {
    case "http":
      return { kind: "http" };
    case "https":
      return { kind: "https", certificateHost: host };
    case "git":
      return { kind: "tcp" };
  }
}
