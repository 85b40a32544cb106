/** Whether the archive can be read with the keys that are configured, and whether its store keeps what Object Lock means. */
import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ulid } from "#durable/format/ids.ts";
import type { Prober } from "#durable/store/probe/probe.ts";
import { bucketArchive } from "#scripts/archive/bucket.ts";
import { error, type Finding, ok, reason, warning } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { clock } from "./clock.ts";
import { get } from "./reach.ts";

const TIMEOUT_MS = 10_000;

type Environment = Readonly<Record<string, string | undefined>>;

export async function archive({ archive }: Settings, env: Environment): Promise<Finding[]> {
  if (archive.kind === "directory") {
    return [
      writable("archive", archive.path),
      warning("archive", "a directory is not WORM: whoever owns it can delete"),
      warning("archive grade", "limited, not evidence: nothing locks what is stored"),
    ];
  }
  const { endpoint, bucket } = archive;
  const { findings: said, archive: store, prober } = bucketArchive(archive, env, TIMEOUT_MS);
  const findings = [...said];
  if (store === undefined) return findings;
  const at = `archive ${endpoint.base}/${bucket}`;
  try {
    findings.push(...clock(at, (await get(`${endpoint.base}/`)).headers, Date.now()));
    for await (const _ of store.list("trust/")) break;
    findings.push(ok(at, "can be listed with its keys"));
    if (prober) findings.push(...(await probed(at, prober)));
  } catch (thrown) {
    findings.push(error(at, reason(thrown)));
  }
  return findings;
}

/** One finding for each question, then what they come to. A store that falls short is used all the same, and told of. */
async function probed(at: string, prober: Prober): Promise<Finding[]> {
  const { grade, results } = await prober.probe(ulid(Date.now(), randomBytes(10)));
  const said = results.map(({ name, outcome, said }) =>
    outcome === "held" ? ok(`${at} ${name}`, said) : warning(`${at} ${name}`, `${outcome}: ${said}`),
  );
  const short = results.filter(({ outcome }) => outcome !== "held").map(({ name }) => name);
  const verdict =
    grade === "evidence"
      ? ok(`${at} grade`, "evidence: the store keeps what it is given")
      : warning(`${at} grade`, `limited, not evidence: ${short.join(", ")}`);
  return [...said, verdict];
}

/** Whether a directory, or the nearest one above it that exists, can be written. */
function writable(at: string, path: string): Finding {
  let existing = path;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    if (!statSync(existing).isDirectory()) return error(at, `${existing} is not a directory`);
    accessSync(existing, constants.W_OK);
    return ok(at, existing === path ? `${path} can be written` : `${path} will be made`);
  } catch (thrown) {
    return error(at, reason(thrown));
  }
}
