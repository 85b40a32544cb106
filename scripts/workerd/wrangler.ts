/** wrangler.toml as the generator reads it: per service, its classes, settings and service bindings. */
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import * as v from "valibot";

const Named = v.object({ binding: v.string(), service: v.string(), entrypoint: v.string() });
const Section = v.object({
  vars: v.optional(v.record(v.string(), v.unknown()), {}),
  services: v.optional(v.array(Named), []),
  durable_objects: v.optional(
    v.object({ bindings: v.array(v.strictObject({ name: v.string(), class_name: v.string() })) }),
    { bindings: [] },
  ),
  migrations: v.optional(v.array(v.object({ tag: v.string(), new_sqlite_classes: v.array(v.string()) })), []),
});
const Wrangler = v.object({
  compatibility_date: v.string(),
  compatibility_flags: v.array(v.string()),
  ...Section.entries,
  env: v.record(v.string(), Section),
});
export type Wrangler = v.InferOutput<typeof Wrangler>;
export type Section = v.InferOutput<typeof Section>;

export const SERVICES = ["gateway", "evaluator", "egress", "recorder", "console"] as const;
export type ServiceName = (typeof SERVICES)[number];

export function readWrangler(path: string): Wrangler {
  return v.parse(Wrangler, parse(readFileSync(path, "utf8")));
}

export function sectionOf(wrangler: Wrangler, service: ServiceName): Section {
  const section = wrangler.env[service];
  if (section === undefined) throw new Error(`wrangler.toml has no [env.${service}]`);
  return section;
}
