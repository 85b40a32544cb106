// One large body each way: speed, and the most memory that any workerd had while it passed.
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { accepts, type Child, startChild, until } from "#test/support/servers/children.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { cpuOf, peakMemoryOf, type Row } from "./measure.ts";
import type { Target } from "./targets.ts";

const PROGRAM = new URL("programs/bulk-upstream.ts", import.meta.url).pathname;

export async function startBulkUpstream(directory: string): Promise<{ url: string; child: Child }> {
  const port = await freePort();
  const child = startChild(process.execPath, [PROGRAM, String(port)], { log: join(directory, "bulk.log") });
  await until(() => accepts(port), "bulk upstream", [child]);
  return { url: `http://127.0.0.1:${port}`, child };
}

const packet = (line: string): string => (line.length + 4).toString(16).padStart(4, "0") + line;

/** What git would send for a clone of one commit. */
const FETCH = `${packet("want 5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e no-progress ofs-delta\n")}0000${packet("done\n")}`;

/** The beginning of a push that makes a branch: its command, and a pack whose only commit comes first, as git writes it. */
function pushHead(): Buffer {
  const author = "Robin Example <robin@example.test> 1700000000 +0000";
  const commit = Buffer.from(
    `tree ${"5ca1ab1e".repeat(5)}\nauthor ${author}\ncommitter ${author}\n\nA large file\n`,
  );
  const id = createHash("sha1").update(`commit ${commit.length}\0`).update(commit).digest("hex");
  const command = `${packet(`${"0".repeat(40)} ${id} refs/heads/bench\0report-status agent=git/2.39.5`)}0000`;
  const count = Buffer.from([0, 0, 0, 2, 0, 0, 0, 2]);
  // gitformat-pack(5): an entry begins with its type and size, here commit (1), then blob (3) of 2^31 bytes.
  const size = Buffer.from([0x90 | (commit.length & 15), commit.length >> 4]);
  const blob = Buffer.from([0xb0, 0x80, 0x80, 0x80, 0x40]);
  return Buffer.concat([Buffer.from(command), Buffer.from("PACK"), count, size, deflateSync(commit), blob]);
}

export type Direction = "fetch" | "push";
export type Passed = { readonly seconds: number; readonly bytes: number };

/** Sends one request and reads the answer to its end. The body of a push is as long as `megabytes` say. */
export async function pass(
  url: string,
  direction: Direction,
  megabytes: number,
  token: string | undefined,
): Promise<Passed> {
  const service = direction === "fetch" ? "git-upload-pack" : "git-receive-pack";
  const headers = {
    "content-type": `application/x-${service}-request`,
    "user-agent": "git/2.39.5",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const began = performance.now();
  const sent = request(`${url}/mb${megabytes}.git/${service}`, { method: "POST", headers, agent: false });
  const answered = once(sent, "response");
  // Rejections reach the caller below; without a listener until then, Node would end the bench.
  answered.catch(() => undefined);
  const bytes = direction === "fetch" ? 0 : await writePush(sent, megabytes * 1e6);
  sent.end(direction === "fetch" ? FETCH : undefined);
  const [response] = (await answered) as [import("node:http").IncomingMessage];
  let read = 0;
  let text = "";
  for await (const chunk of response) {
    read += (chunk as Buffer).length;
    if (read < 4096) text += String(chunk);
  }
  const taken = { seconds: (performance.now() - began) / 1000, bytes: bytes + read };
  const whole = direction === "fetch" ? read === megabytes * 1e6 : text.includes("unpack ok");
  if (response.statusCode !== 200 || !whole)
    throw new Error(`${url} ${direction}: ${response.statusCode}, ${read} bytes: ${text.slice(0, 500)}`);
  return taken;
}

async function writePush(to: NodeJS.WritableStream, length: number): Promise<number> {
  const noise = randomBytes(1024 * 1024);
  const head = pushHead();
  to.write(head);
  for (let left = length - head.length; left > 0; left -= noise.length) {
    if (!to.write(left < noise.length ? noise.subarray(0, left) : noise)) await once(to, "drain");
  }
  return length;
}

export async function measureBulk(
  targets: readonly Target[],
  token: string,
  sizes: readonly number[],
  rounds: number,
): Promise<Row[]> {
  const rows: Row[] = targets.map((target) => ({
    body: "before",
    target: target.name,
    "MB/s": "",
    "CPU ms": "",
    "peak RSS MB": peaks(target),
  }));
  // Small bodies first: a process's peak never falls again.
  for (const megabytes of sizes)
    for (const direction of ["fetch", "push"] as const)
      for (const target of targets) {
        const pids = target.pids();
        const before = cpuOf(pids);
        const taken: number[] = [];
        for (let round = 0; round < rounds; round++) {
          const url = target.url("bulk");
          taken.push((await pass(url, direction, megabytes, target.guarded ? token : undefined)).seconds);
        }
        rows.push({
          body: `${megabytes} MB ${direction}`,
          target: target.name,
          "MB/s": (megabytes / Math.min(...taken)).toFixed(0),
          "CPU ms": ((cpuOf(pids) - before) / 1000 / rounds).toFixed(0),
          "peak RSS MB": peaks(target),
        });
      }
  return rows;
}

const peaks = (target: Target): string =>
  target.name === "nginx" ? "" : target.pids().map(peakMemoryOf).join(" + ");
