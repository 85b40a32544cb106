import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build } from "#scripts/build.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { plan } from "#scripts/serve/plan.ts";
import { currentDirectory, makeClearanceKey, writeGeneration } from "#scripts/serve/run-directory.ts";

const workerd = createRequire(import.meta.url)("workerd").default as string;
const run = promisify(execFile);
const root = mkdtempSync(join(tmpdir(), "steno-accepted-"));
const dist = join(root, "dist");
beforeAll(() => build(join(import.meta.dirname, "fixture.js"), dist));
afterAll(() => rmSync(root, { recursive: true }));

const FILE = `
[policy]
dir = "."
[[identity.oidc]]
issuer = "https://idp.internal/realm"
jwks_uri = "https://keys.internal/jwks"
[archive]
kind = "s3"
endpoint = "https://s3.internal:9000"
bucket = "steno"
access_key = "env:A"
secret_key = "env:B"
[[connections]]
name = "payments"
kind = "git"
upstream = "https://git.internal/team/"
credential = "env:C"
[[connections]]
name = "plain"
kind = "git"
upstream = "git://[::1]/"
`;

test.each([
  ["single", FILE],
  ["single", '[policy]\ndir = "."\n'],
  ["split", FILE],
])("workerd accepts every configuration of %s", async (topology, text) => {
  const { settings } = parseSettings(
    `${text}[serve]\ntopology = "${topology}"\nstate = "state-${topology}"\n`,
    root,
  );
  if (settings === undefined) throw new Error("the test's configuration is wrong");
  const { plan: planned, findings } = plan(settings, "/run/s", { A: "a", B: "b", C: "c" }, dist);
  if (planned === undefined) throw new Error(JSON.stringify(findings));
  writeGeneration(settings.serve.state, { ...planned.generation, clearance: makeClearanceKey() });
  for (const { name } of planned.generated.instances) {
    const config = join(currentDirectory(settings.serve.state), `${name}.capnp`);
    const { stdout, stderr } = await run(workerd, ["compile", "--config-only", config], {
      encoding: "buffer",
      maxBuffer: 2 ** 26,
    });
    expect(stderr.toString()).toBe("");
    expect(stdout.length).toBeGreaterThan(1000);
  }
});
