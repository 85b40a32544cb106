// The identity provider of the tests: the demo's real one, with a cast of people and the audiences of a gateway.
import type { ProviderOptions } from "#scripts/demo/oidc-engine.ts";
import { type RunningProvider, startOidcProvider } from "#scripts/demo/oidc-provider.ts";
import { signIn } from "#scripts/demo/sign-in.ts";

export interface OidcServer extends RunningProvider {
  readonly url: string;
  /** Signs a person in at an authorization or device verification URL; see `scripts/demo/sign-in.ts`. */
  signIn(url: string | URL, user: string): Promise<URL>;
}

/** A developer, a lead who approves, an auditor, an administrator. */
export const people = {
  alice: { groups: ["developers"], name: "Alice Archer", email: "alice@example.test" },
  bob: { groups: ["developers", "leads"], name: "Bob Baker", email: "bob@example.test" },
  carol: { groups: ["security"], name: "Carol Clerk", email: "carol@example.test" },
  dave: { groups: ["platform"], name: "Dave Docker", email: "dave@example.test" },
} as const;

export async function startOidc(options: Partial<ProviderOptions> = {}): Promise<OidcServer> {
  const provider = await startOidcProvider({
    users: people,
    audiences: ["steno", "steno-console"],
    ...options,
  });
  return { ...provider, url: provider.issuer, signIn };
}
