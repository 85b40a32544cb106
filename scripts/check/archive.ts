/** Whether the archive can be read with the keys that are configured, and whether its store keeps what Object Lock means. */
import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { SessionId } from "#durable/format/ids.ts";
import { ulid } from "#durable/format/ids.ts";
import type { Prober } from "#durable/store/probe/probe.ts";
import { bucketArchive } from "#scripts/archive/bucket.ts";
import { keysBucket } from "#scripts/archive/session-keys.ts";
import { error, type Finding, ok, reason, warning } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { clock } from "./clock.ts";
import { get } from "./reach.ts";

const TIMEOUT_MS = 10_000;
/** Never the id of a session: its time is the first there is. */
const PROBE = "ses_00000000000000000000000000" as SessionId;

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether what is encrypted can be erased: by a key that can be written, read and deleted for good. */
export async function sessionKeysStore({ keys, evidence }: Settings, env: Environment): Promise<Finding[]> {
  const { encryptTo } = evidence;
  const to = encryptTo.length === 0 ? [] : [ok("encrypt_to", `${encryptTo.length} recipients`)];
  if (keys === undefined) return to;
  if (keys.kind === "directory") return [...to, writable("keys", keys.path)];
  const at = `keys ${keys.endpoint.base}/${keys.bucket}`;
  const { findings, bucket } = keysBucket(keys, env, TIMEOUT_MS);
  if (bucket === undefined) return [...to, ...findings];
  try {
    const unfit = await bucket.unfit();
    const key = crypto.getRandomValues(new Uint8Array(32));
    await bucket.put(PROBE, key);
    await bucket.remove(PROBE);
    const fit = unfit.length === 0 ? [ok(at, "a key was written, read and deleted")] : [];
    return [...to, ...findings, ...fit, ...unfit.map((why) => error(at, why))];
  } catch (thrown) {
    return [...to, ...findings, error(at, reason(thrown))];
  }
}

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
