import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseSettings, type Settings } from "#scripts/config/settings.ts";
import { capnp, quote } from "#scripts/workerd/capnp.ts";
import { generate, UNIQUE_KEYS } from "#scripts/workerd/generate.ts";
import type { InstanceSpec, WorkerSpec } from "#scripts/workerd/spec.ts";
import { readWrangler, SERVICES, sectionOf } from "#scripts/workerd/wrangler.ts";

const wrangler = readWrangler(join(import.meta.dirname, "../../../wrangler.toml"));
const MODULES = [
  { name: "main.js", kind: "esm", embed: "modules/main.js" },
  { name: "cedar.wasm", kind: "wasm", embed: "modules/cedar.wasm" },
] as const;
const DIGESTS = { build: "b".repeat(64), config: "c".repeat(64) };

const FILE = `
[[identity.oidc]]
issuer = "https://idp.internal/realm"
[[identity.oidc]]
issuer = "http://127.0.0.1:4000"
jwks_uri = "https://keys.internal/jwks"
client_id = "steno"
client_secret = "env:CLIENT"
[archive]
kind = "s3"
endpoint = "https://s3.internal:9000"
bucket = "steno"
access_key = "env:S3_ACCESS"
secret_key = "env:S3_SECRET"
[[connections]]
name = "payments"
kind = "git"
upstream = "https://git.internal/team/"
credential = "env:GIT_TOKEN"
[[connections]]
name = "plain"
kind = "git"
upstream = "git://127.0.0.1:9418/"
bodies = "digest"
`;

function settingsOf(text: string): Settings {
  const { settings, findings } = parseSettings(text, "/etc/steno");
  if (settings === undefined) throw new Error(JSON.stringify(findings));
  return settings;
}

const made = (text: string) => generate(wrangler, settingsOf(text), MODULES, DIGESTS, { sockets: "/run/s" });
const split = (text = FILE) => made(`${text}\n[serve]\ntopology = "split"\n`);

function workerOf(instance: InstanceSpec | undefined, name: string): WorkerSpec {
  const found = instance?.services.find((service) => service.name === name);
  if (found?.kind !== "worker") throw new Error(`no worker ${name}`);
  return found;
}

const names = (instance: InstanceSpec | undefined, service: string) =>
  workerOf(instance, service).bindings.map((binding) => binding.name);
const targets = (instance: InstanceSpec | undefined, service: string) =>
  workerOf(instance, service).bindings.flatMap((binding) =>
    binding.kind === "service" ? [`${binding.name} ${binding.service}#${binding.entrypoint ?? ""}`] : [],
  );
const kindsOf = (instance: InstanceSpec | undefined, service: string) =>
  workerOf(instance, service).bindings.map(({ name, kind }) => `${name} ${kind}`);

describe("one instance", () => {
  const [single, ...more] = made(FILE).instances;

  test("runs all five services and listens twice", () => {
    expect(more).toEqual([]);
    expect(single?.sockets).toEqual([
      {
        name: "agents",
        listen: { kind: "agents" },
        service: "gateway",
        entrypoint: "Gateway",
        transport: "http",
      },
      {
        name: "console",
        listen: { kind: "console" },
        service: "console",
        entrypoint: "Console",
        transport: "http",
      },
    ]);
    expect(single?.services.filter(({ kind }) => kind === "worker").map(({ name }) => name)).toEqual([
      ...SERVICES,
    ]);
  });

  test("the gateway holds its settings, the evaluator, egress, issuers and Append; no key, no secret, no upstream", () => {
    expect(kindsOf(single, "gateway")).toEqual([
      "GATEWAY_SETTINGS json",
      "EVALUATOR service",
      "EGRESS service",
      "ISSUERS service",
      "ANALYZER service",
      "APPEND service",
      "HOLD service",
      "PINS service",
    ]);
    expect(targets(single, "gateway")).toEqual([
      "EVALUATOR evaluator#Evaluator",
      "EGRESS egress#Egress",
      "ISSUERS egress#IssuerKeys",
      "ANALYZER egress#Analyzer",
      "APPEND recorder#Append",
      "HOLD recorder#Hold",
      "PINS recorder#Pins",
    ]);
  });

  test("the evaluator holds its settings and the policies, read-only, and alone gets the engine", () => {
    expect(targets(single, "evaluator")).toEqual(["POLICIES policies#"]);
    expect(names(single, "evaluator")).toEqual(["EVALUATOR_SETTINGS", "POLICIES"]);
    expect(single?.services).toContainEqual({
      kind: "disk",
      name: "policies",
      path: "/etc/steno/policies",
      writable: false,
    });
    for (const service of SERVICES) {
      const wasm = workerOf(single, service).modules.filter(({ kind }) => kind === "wasm").length;
      expect(wasm).toBe(service === "evaluator" ? 1 : 0);
    }
  });

  test("egress verifies clearances, spools, and reaches the configured upstreams and issuers", () => {
    expect(kindsOf(single, "egress")).toEqual([
      "EGRESS_SETTINGS json",
      "SPOOL service",
      "CLEARANCE_KEY hmac",
      "UPSTREAM_0 service",
      "CREDENTIAL_0 environment",
      "UPSTREAM_1 service",
      "ISSUER_0 service",
      "ISSUER_1 service",
      "ISSUER_1_JWKS service",
    ]);
    const key = workerOf(single, "egress").bindings.find(({ name }) => name === "CLEARANCE_KEY");
    expect(key).toMatchObject({ usages: ["verify"] });
    const externals = single?.services.filter(({ kind }) => kind === "external");
    expect(externals).toEqual([
      {
        kind: "external",
        name: "upstream-0",
        address: "git.internal:443",
        transport: { kind: "https", certificateHost: "git.internal" },
      },
      { kind: "external", name: "upstream-1", address: "127.0.0.1:9418", transport: { kind: "tcp" } },
      {
        kind: "external",
        name: "issuer-0",
        address: "idp.internal:443",
        transport: { kind: "https", certificateHost: "idp.internal" },
      },
      { kind: "external", name: "issuer-1", address: "127.0.0.1:4000", transport: { kind: "http" } },
      {
        kind: "external",
        name: "issuer-1-jwks",
        address: "keys.internal:443",
        transport: { kind: "https", certificateHost: "keys.internal" },
      },
      {
        kind: "external",
        name: "archive",
        address: "s3.internal:9000",
        transport: { kind: "https", certificateHost: "s3.internal" },
      },
    ]);
  });

  test("the recorder holds objects, keys and the archive's keys, and no upstream", () => {
    expect(kindsOf(single, "recorder")).toEqual([
      "RECORDER_SETTINGS json",
      "SESSION namespace",
      "JOURNAL namespace",
      "LEDGER namespace",
      "DIRECTORY namespace",
      "BUDGET namespace",
      "APPROVAL namespace",
      "SEAL_KEY p256",
      "SEAL_PUB text",
      "LOG_KEY ed25519",
      "LOG_PUB text",
      "LOG_PQ_KEY ml-dsa-44",
      "LOG_PQ_PUB text",
      "CLEARANCE_KEY hmac",
      "PSEUDONYM_KEY hmac",
      "ARCHIVE_ACCESS_KEY environment",
      "ARCHIVE_SECRET_KEY environment",
    ]);
    expect(workerOf(single, "recorder").namespaces).toEqual([
      { className: "SessionObject", uniqueKey: "steno-session" },
      { className: "JournalObject", uniqueKey: "steno-journal" },
      { className: "LedgerObject", uniqueKey: "steno-ledger" },
      { className: "DirectoryObject", uniqueKey: "steno-directory" },
      { className: "BudgetObject", uniqueKey: "steno-budget" },
      { className: "ApprovalObject", uniqueKey: "steno-approval" },
    ]);
  });

  test("the console reads, kills and knows issuers; no key, no secret", () => {
    expect(names(single, "console")[0]).toBe("CONSOLE_SETTINGS");
    expect(names(single, "console")).toHaveLength(8);
    expect(targets(single, "console")).toEqual([
      "READ recorder#Read",
      "KILL recorder#Kill",
      "CUSTODY recorder#Custody",
      "DECIDE recorder#Decide",
      "STANDING recorder#Standing",
      "SCOPE evaluator#Scope",
      "ISSUERS egress#IssuerKeys",
    ]);
  });

  test("a bare fetch reaches nothing, but the recorder's, which reaches the archive", () => {
    expect(SERVICES.map((name) => workerOf(single, name).globalOutbound)).toEqual([
      "nowhere",
      "nowhere",
      "nowhere",
      "archive",
      "nowhere",
    ]);
    expect(single?.services).toContainEqual({ kind: "network", name: "nowhere", allow: [] });
    for (const instance of [single, ...split().instances]) {
      expect(instance?.services.filter(({ kind }) => kind === "network").length).toBe(1);
    }
  });

  test("the recorder reaches its witnesses too, each by a binding of its own, and nobody else does", () => {
    const vkey = "w.example+c9860602+BBkI0oK26YVPFp77XqzTrWFjZviKYhoK80HgElJBY4vs";
    const [instance] = made(`[evidence]\nwitnesses = ["${vkey} https://w.example/a/"]`).instances;
    expect(targets(instance, "recorder")).toContain("WITNESS_0 witness-0#");
    expect(instance?.services).toContainEqual({
      kind: "external",
      name: "witness-0",
      address: "w.example:443",
      transport: { kind: "https", certificateHost: "w.example" },
    });
    const reached = SERVICES.filter((name) => names(instance, name).includes("WITNESS_0"));
    expect(reached).toEqual(["recorder"]);
    const json = workerOf(instance, "recorder").bindings.find(({ kind }) => kind === "json");
    expect(json).toMatchObject({
      value: { quorum: 1, witnesses: [{ vkey, url: "https://w.example/a", binding: "WITNESS_0" }] },
    });
  });

  test("the recorder reaches the timestamp authority, when there is one, and nobody else does", () => {
    const [instance] = made('[evidence]\ntsa = "https://tsa.example/tsr"').instances;
    expect(targets(instance, "recorder")).toContain("TSA tsa#");
    expect(instance?.services).toContainEqual({
      kind: "external",
      name: "tsa",
      address: "tsa.example:443",
      transport: { kind: "https", certificateHost: "tsa.example" },
    });
    expect(SERVICES.filter((name) => names(instance, name).includes("TSA"))).toEqual(["recorder"]);
    const json = workerOf(instance, "recorder").bindings.find(({ kind }) => kind === "json");
    expect(json).toMatchObject({ value: { tsa: { url: "https://tsa.example/tsr" } } });
    expect(names(made("").instances[0], "recorder")).not.toContain("TSA");
  });

  test("a directory archive is a private socket, and needs no keys", () => {
    const { instances, directorySocket } = made("");
    expect(directorySocket).toBe("/run/s/archive.sock");
    expect(instances[0]?.services).toContainEqual({
      kind: "external",
      name: "archive",
      address: "unix:/run/s/archive.sock",
      transport: { kind: "http" },
    });
    expect(names(instances[0], "recorder").filter((name) => name.startsWith("ARCHIVE"))).toEqual([]);
    expect(made(FILE).directorySocket).toBeUndefined();
  });
});

describe("split instances", () => {
  const [recorder, first, second, ...more] = split().instances;

  test("are one recorder, then the fronts; only the first front has the console", () => {
    expect(more).toEqual([]);
    const runs = [recorder, first, second].map((instance) =>
      instance?.services.filter(({ kind }) => kind === "worker").map(({ name }) => name),
    );
    expect(runs).toEqual([
      ["recorder"],
      ["gateway", "evaluator", "egress", "console"],
      ["gateway", "evaluator", "egress"],
    ]);
    expect([first, second].map((instance) => instance?.sockets.map(({ name }) => name))).toEqual([
      ["agents", "console"],
      ["agents"],
    ]);
  });

  test("the recorder serves one entrypoint a socket, and each caller is led to its own only", () => {
    expect(
      recorder?.sockets.map(({ listen, entrypoint, transport }) => [listen, entrypoint, transport]),
    ).toEqual(
      ["Append", "Hold", "Pins", "Spool", "Read", "Kill", "Custody", "Decide", "Standing"].map((name) => [
        { kind: "unix", path: `/run/s/${name.toLowerCase()}.sock` },
        name,
        "rpc",
      ]),
    );
    expect(targets(first, "gateway")).toContain("APPEND recorder-append#");
    expect(targets(first, "console")).toEqual([
      "READ recorder-read#",
      "KILL recorder-kill#",
      "CUSTODY recorder-custody#",
      "DECIDE recorder-decide#",
      "STANDING recorder-standing#",
      "SCOPE evaluator#Scope",
      "ISSUERS egress#IssuerKeys",
    ]);
    const reached = second?.services.flatMap((service) =>
      service.kind === "external" && service.transport.kind === "rpc" ? [service.name] : [],
    );
    expect(reached).toEqual(["recorder-append", "recorder-hold", "recorder-pins", "recorder-spool"]);
  });

  test("each service holds the same bindings as in one instance", () => {
    const [single] = made(FILE).instances;
    for (const service of SERVICES) {
      const instance = service === "recorder" ? recorder : first;
      expect(names(instance, service)).toEqual(names(single, service));
    }
  });

  test("secrets go to the instance that needs them", () => {
    const { secrets } = split();
    expect([...secrets].map(([name, uses]) => [name, uses.map(({ variable }) => variable)])).toEqual([
      ["recorder", ["STENO_ARCHIVE_ACCESS_KEY", "STENO_ARCHIVE_SECRET_KEY"]],
      ["front-0", ["STENO_CREDENTIAL_0"]],
      ["front-1", ["STENO_CREDENTIAL_0"]],
    ]);
  });
});

describe("the text", () => {
  test("holds no secret, no secret's name and no key", () => {
    for (const instance of [...made(FILE).instances, ...split().instances]) {
      const text = capnp(instance);
      for (const word of ["GIT_TOKEN", "S3_ACCESS", "S3_SECRET", "CLIENT", "BEGIN"])
        expect(text).not.toContain(word);
      expect(text).not.toMatch(/extractable = true/);
    }
  });

  test("quotes what would end a literal", () => {
    expect(quote('a"b\\c\nd\u0000é')).toBe('"a\\"b\\\\c\\x0ad\\x00é"');
  });
});

describe("wrangler.toml", () => {
  test("the top level is all services together", () => {
    const sections = SERVICES.map((service) => sectionOf(wrangler, service));
    const sorted = (texts: string[]) => [...new Set(texts)].toSorted();
    expect(sorted(wrangler.services.map(({ binding, entrypoint }) => `${binding} ${entrypoint}`))).toEqual(
      sorted(
        sections.flatMap(({ services }) =>
          services.map(({ binding, entrypoint }) => `${binding} ${entrypoint}`),
        ),
      ),
    );
    expect(wrangler.durable_objects.bindings).toEqual(
      sections.flatMap((section) => section.durable_objects.bindings),
    );
    expect(wrangler.migrations).toEqual(sections.flatMap(({ migrations }) => migrations));
    expect(sorted(Object.keys(wrangler.vars))).toEqual(
      sorted(sections.flatMap(({ vars }) => Object.keys(vars))),
    );
    expect(Object.keys(wrangler.env).toSorted()).toEqual([...SERVICES].toSorted());
  });

  test("every class that keeps state has a key, and the keys are the frozen ones", () => {
    const classes = wrangler.migrations.flatMap(({ new_sqlite_classes }) => new_sqlite_classes);
    expect(classes.toSorted()).toEqual(Object.keys(UNIQUE_KEYS).toSorted());
    expect(UNIQUE_KEYS).toEqual({
      SessionObject: "steno-session",
      JournalObject: "steno-journal",
      LedgerObject: "steno-ledger",
      DirectoryObject: "steno-directory",
      BudgetObject: "steno-budget",
      ApprovalObject: "steno-approval",
    });
  });

  test("a var that steno.toml cannot fill stops the generator", () => {
    const other = structuredClone(wrangler);
    sectionOf(other, "gateway").vars["RECORDER_SETTINGS"] = {};
    expect(() => generate(other, settingsOf(""), MODULES, DIGESTS, { sockets: "/run/s" })).toThrow(
      "RECORDER_SETTINGS",
    );
  });
});
