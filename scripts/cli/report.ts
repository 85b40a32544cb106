/** What commands say about configurations and findings. */
import { type Finding, failed, line } from "#scripts/config/finding.ts";
import { loadSettings, type Settings } from "#scripts/config/settings.ts";

/** One finding a line, on standard output. */
export function print(findings: readonly Finding[], json: boolean): void {
  for (const finding of findings) console.log(json ? JSON.stringify(finding) : line(finding));
}

/** The settings, or undefined after every error went to standard error. Warnings go there too. */
export function loadOrReport(config: string | undefined): Settings | undefined {
  const { settings, findings } = loadSettings(process.cwd(), config);
  for (const finding of findings) console.error(line(finding));
  return failed(findings) ? undefined : settings;
}
