/** Whether the analyzer of personal data answers, and knows the entities it is to look for. */
import * as v from "valibot";
import { error, type Finding, ok, reason } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { askPresidio } from "#workers/mask/analysis/presidio.ts";

const TIMEOUT_MS = 5_000;
const SAMPLE = "My name is Ada Lovelace.";

/** Without its answer requests are refused, unless `when_down` lets them pass. */
export async function presidio({ presidio: asked }: Settings): Promise<Finding[]> {
  if (!asked) return [];
  const { url, language, entities } = asked;
  const at = `presidio ${url.base}`;
  try {
    const began = performance.now();
    await askPresidio({ fetch }, { ...asked, url: url.base, entities: [...entities] }, SAMPLE);
    const ms = Math.round(performance.now() - began);
    const known = await supported(url.base, language);
    const missing = known ? entities.filter((entity) => !known.includes(entity)) : [];
    return [
      ...missing.map((entity) => error(at, `knows no entity "${entity}" in language "${language}"`)),
      ok(at, `answers in ${ms} ms`),
    ];
  } catch (thrown) {
    return [error(at, reason(thrown))];
  }
}

/** What it can find, or undefined when it does not say. */
async function supported(base: string, language: string): Promise<readonly string[] | undefined> {
  const url = `${base}/supportedentities?language=${encodeURIComponent(language)}`;
  const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const parsed = v.safeParse(v.array(v.string()), response.ok ? await response.json() : undefined);
  return parsed.success ? parsed.output : undefined;
}
