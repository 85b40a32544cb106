/** The five services of one process as one Worker in Wrangler's words. */
import { join, relative } from "node:path";
import { ROOT } from "#scripts/build.ts";
import type { WorkerSpec } from "#scripts/workerd/spec.ts";
import type { Wrangler } from "#scripts/workerd/wrangler.ts";

const NAME = "steno";
const SOURCES = ["workers", "durable"];

/**
 * For a file in `directory`, whose `bundle/` holds `worker.js` and, in `dist/`, what the command `rebuild` builds again
 * when a source changes. The classes come to be in the steps of wrangler.toml.
 */
export function wranglerConfig(
  workers: readonly WorkerSpec[],
  { migrations }: Pick<Wrangler, "migrations">,
  directory: string,
  rebuild: string,
): object {
  const [first] = workers;
  const bindings = workers.flatMap((worker) => worker.bindings);
  const classes = bindings.flatMap((each) =>
    each.kind === "namespace" ? [{ name: each.name, class_name: each.className }] : [],
  );
  const calls = bindings.flatMap((each) =>
    each.kind === "service" && each.entrypoint !== undefined
      ? [{ binding: each.name, service: NAME, entrypoint: each.entrypoint }]
      : [],
  );
  return {
    name: NAME,
    main: "bundle/worker.js",
    base_dir: "bundle",
    no_bundle: true,
    find_additional_modules: true,
    rules: [
      { type: "ESModule", globs: ["dist/*.js"], fallthrough: false },
      { type: "CompiledWasm", globs: ["dist/*.wasm"], fallthrough: false },
    ],
    compatibility_date: first?.compatibilityDate,
    compatibility_flags: first?.compatibilityFlags,
    send_metrics: false,
    vars: Object.fromEntries(
      bindings.flatMap((each) => (each.kind === "json" ? [[each.name, each.value]] : [])),
    ),
    // One binding each: services that share a name call the same entrypoint.
    services: [...new Map(calls.map((call) => [call.binding, call])).values()],
    durable_objects: { bindings: classes },
    migrations,
    // Wrangler takes each as relative, even one that begins with a slash.
    build: { command: rebuild, watch_dir: SOURCES.map((source) => relative(directory, join(ROOT, source))) },
  };
}
