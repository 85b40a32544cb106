import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSettings } from "#scripts/config/settings.ts";
import { generate } from "#scripts/workerd/generate.ts";
import { readWrangler } from "#scripts/workerd/wrangler.ts";

const wrangler = readWrangler(join(import.meta.dirname, "../../../wrangler.toml"));

function bindingsOf(text: string) {
  const { settings } = parseSettings(text, "/etc/steno");
  if (settings === undefined) throw new Error("the sample does not parse");
  const { instances } = generate(
    wrangler,
    settings,
    [],
    { build: "b".repeat(64), config: "c".repeat(64) },
    { sockets: "/run/s" },
  );
  const workers = instances.flatMap(({ services }) => services.filter((one) => one.kind === "worker"));
  return new Map(workers.map(({ name, bindings }) => [name, bindings]));
}

test("the recorder has the keys of the log before, when there is one, and nobody else does", () => {
  const all = bindingsOf('[evidence]\norigin = "b.example"\nprevious_origins = ["a.example"]');
  const previous = [...all].flatMap(([service, bindings]) =>
    bindings
      .filter(({ name }) => name.startsWith("PREVIOUS_"))
      .map(({ name, kind }) => [service, name, kind]),
  );
  expect(previous).toEqual([
    ["recorder", "PREVIOUS_LOG_KEY", "ed25519"],
    ["recorder", "PREVIOUS_LOG_PUB", "text"],
    ["recorder", "PREVIOUS_LOG_PQ_KEY", "ml-dsa-44"],
    ["recorder", "PREVIOUS_LOG_PQ_PUB", "text"],
  ]);
  const json = all.get("recorder")?.find(({ kind }) => kind === "json");
  expect(json).toMatchObject({ value: { origin: "b.example", previousOrigins: ["a.example"] } });
  const alone = bindingsOf('[evidence]\norigin = "a.example"').get("recorder") ?? [];
  expect(alone.filter(({ name }) => name.startsWith("PREVIOUS_"))).toEqual([]);
});
