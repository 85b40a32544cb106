/** What probes of the store left behind: nothing rests on it, and it must not be something else. */
import { isOfProbe, PROBE_PREFIX } from "#durable/format/layout.ts";
import { readUtf8 } from "../../bytes.ts";
import type { Context } from "../context.ts";

export async function checkProbes({ source, report }: Context): Promise<void> {
  for await (const key of source.list(PROBE_PREFIX)) {
    const bytes = await source.get(key);
    if (bytes && !isOfProbe(key, readUtf8(bytes) ?? ""))
      report("probe_altered", key, "not what a probe puts there");
  }
}
