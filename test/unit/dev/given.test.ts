/** The Worker of `npm run dev` has the bindings of all services of `steno serve`, and its configuration no secret. */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { NodeKeys } from "#scripts/config/keys.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { encoded, givenOf } from "#scripts/dev/given.ts";
import { wranglerConfig } from "#scripts/dev/wrangler-config.ts";
import { generate } from "#scripts/workerd/generate.ts";
import { readWrangler } from "#scripts/workerd/wrangler.ts";

const ROOT = join(import.meta.dirname, "../../..");
const FILE = `
[[identity.oidc]]
issuer = "http://127.0.0.1:4000"
jwks_uri = "https://keys.internal/jwks"
[[connections]]
name = "code"
kind = "git"
upstream = "https://git.internal/team/"
credential = "env:GIT_TOKEN"
[[connections]]
name = "plain"
kind = "git"
upstream = "git://127.0.0.1:9418/"
`;
const settings = parseSettings(FILE, "/etc/steno").settings;
if (settings === undefined) throw new Error("the sample does not parse");
const digests = { build: "b".repeat(64), config: "c".repeat(64) };
const wrangler = readWrangler(join(ROOT, "wrangler.toml"));
const { instances } = generate(wrangler, settings, [], digests, { sockets: "/run/s" });
const workers = instances.flatMap(({ services }) => services.filter((service) => service.kind === "worker"));

const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
const keys: NodeKeys = {
  sealPem: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  sealPub: createPublicKey(pair.privateKey).export({ type: "spki", format: "pem" }).toString(),
  logPem: "-----BEGIN PRIVATE KEY-----\nbG9n\n-----END PRIVATE KEY-----\n",
  logPub: "log's public key",
  logPqPem: "-----BEGIN PRIVATE KEY-----\nbG9ncHE=\n-----END PRIVATE KEY-----\n",
  logPqPub: "log's other public key",
  pseudonym: new Uint8Array(32).fill(1),
};
const given = givenOf(workers, {
  endpoint: "http://127.0.0.1:1/x",
  keys,
  clearance: new Uint8Array(32).fill(2),
  environment: { STENO_CREDENTIAL_0: "bot:geheim" },
});
const config = wranglerConfig(workers, wrangler, "/etc/steno/.steno/dev", "rebuild") as {
  readonly vars: object;
  readonly services: readonly { readonly binding: string; readonly entrypoint: string }[];
  readonly durable_objects: {
    readonly bindings: readonly { readonly name: string; readonly class_name: string }[];
  };
  readonly migrations: readonly { readonly new_sqlite_classes: readonly string[] }[];
};

test("each binding of each service is there once, and nothing else", () => {
  const wanted = new Set(workers.flatMap(({ bindings }) => bindings.map(({ name }) => name)));
  const there = [
    ...Object.keys(config.vars),
    ...config.services.map(({ binding }) => binding),
    ...config.durable_objects.bindings.map(({ name }) => name),
    ...given.keys.map(({ name }) => name),
    ...Object.keys(given.texts),
    ...given.reaches,
  ];
  expect(there.toSorted()).toEqual([...wanted].toSorted());
  expect(given.reaches).toContain("UPSTREAM_1");
  expect(given.reaches).toContain("ISSUER_0_JWKS");
});

test("wrangler.toml as it stands has the same classes and calls", () => {
  expect(config.services).toEqual(
    expect.arrayContaining(wrangler.services.map((call) => expect.objectContaining(call))),
  );
  expect(config.services).toHaveLength(wrangler.services.length);
  const made = config.migrations.flatMap((migration) => migration.new_sqlite_classes);
  expect(made.toSorted()).toEqual(config.durable_objects.bindings.map((each) => each.class_name).toSorted());
});

test("the configuration holds no secret: those are in one variable of .dev.vars, on one line", () => {
  const text = JSON.stringify(config);
  for (const secret of ["geheim", ...given.keys.map(({ material }) => material)])
    expect(text).not.toContain(secret);
  expect(given.texts).toEqual({
    CREDENTIAL_0: "bot:geheim",
    SEAL_PUB: keys.sealPub,
    LOG_PUB: keys.logPub,
    LOG_PQ_PUB: keys.logPqPub,
  });
  expect(encoded(given)).toMatch(/^[A-Za-z0-9+/]+=*$/);
  expect(JSON.parse(atob(encoded(given)))).toEqual(given);
});

test("keys are the node's own, for what some service may do with them", async () => {
  expect(given.keys.map(({ name, kind, usages }) => [name, kind, [...usages].toSorted()])).toEqual([
    ["CLEARANCE_KEY", "hmac", ["sign", "verify"]],
    ["SEAL_KEY", "p256", ["sign"]],
    ["LOG_KEY", "ed25519", ["sign"]],
    ["LOG_PQ_KEY", "ml-dsa-44", ["sign"]],
    ["PSEUDONYM_KEY", "hmac", ["sign"]],
  ]);
  const material = (name: string) =>
    Buffer.from(given.keys.find((key) => key.name === name)?.material ?? "", "base64");
  expect(material("SEAL_KEY")).toEqual(pair.privateKey.export({ type: "pkcs8", format: "der" }));
  expect(String(material("LOG_KEY"))).toBe("log");
  expect(String(material("LOG_PQ_KEY"))).toBe("logpq");
  expect(material("PSEUDONYM_KEY")).toEqual(Buffer.alloc(32, 1));
});
