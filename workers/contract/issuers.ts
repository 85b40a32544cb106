/** What identity needs of the network: documents of the configured issuers, fetched by egress, and nothing else. */
import type { Answer } from "#durable/format/tape.ts";

/** One configured OIDC issuer, without its client secret. */
export type Issuer = {
  readonly issuer: string;
  readonly audience: string;
  readonly consoleAudience: string;
  readonly groupsClaim: string;
  /** Accepted JWS algorithms; never `none`, never HMAC. */
  readonly algorithms: readonly string[];
};

export interface Issuers {
  /** The issuer's JWK set as JSON text, found by discovery. `index` is its place in the configuration. */
  jwks(index: number): Promise<Answer<string>>;
}
