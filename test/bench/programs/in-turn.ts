// A program of its own: asks several servers the same, one after another on a kept connection each, in an order that
// turns with every round, so that what disturbs the machine disturbs all of them. `node in-turn.ts <job.json>`; prints for
// each target and round how long the head, the first byte of the body, and the whole took, in milliseconds, and how long
// the body was; exits 1 when one answer was not 200.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface Job {
  readonly targets: readonly {
    readonly name: string;
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
  }[];
  /** JSON, in which `#round#` stands for what differs each time: nobody answers from memory. */
  readonly body: string;
  readonly rounds: number;
  /** Rounds before those that count. */
  readonly warm: number;
  /** Milliseconds between two requests. */
  readonly pause: number;
}

export interface Took {
  readonly first: number;
  readonly whole: number;
  readonly bytes: number;
}

const job = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Job;
const agents = job.targets.map(() => new Agent({ keepAlive: true, maxSockets: 1 }));

let asked = 0;
function ask(n: number): Promise<Took> {
  const { promise, resolve, reject } = Promise.withResolvers<Took>();
  const target = job.targets[n];
  if (!target) throw new Error(`no target ${n}`);
  const { url, headers, name } = target;
  asked += 1;
  const body = job.body.replaceAll("#round#", String(asked).padStart(7, "0"));
  const began = performance.now();
  const sent = request(
    url,
    {
      method: "POST",
      agent: agents[n],
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers },
    },
    (response) => {
      let first = Number.NaN;
      let bytes = 0;
      let said = "";
      response.on("data", (part: Buffer) => {
        if (bytes === 0) first = performance.now() - began;
        bytes += part.length;
        if (response.statusCode !== 200) said += part.toString();
      });
      response.once("end", () => {
        if (response.statusCode === 200) resolve({ first, whole: performance.now() - began, bytes });
        else reject(new Error(`${name} answers ${response.statusCode}: ${said.slice(0, 500)}`));
      });
      response.once("error", reject);
    },
  );
  sent.once("error", reject);
  sent.end(body);
  return promise;
}

const took: Took[][] = job.targets.map(() => []);
for (let round = -job.warm; round < job.rounds; round++)
  for (let i = 0; i < job.targets.length; i++) {
    const n = (i + Math.abs(round)) % job.targets.length;
    const one = await ask(n);
    if (round >= 0) took[n]?.push(one);
    if (job.pause > 0) await sleep(job.pause);
  }
for (const agent of agents) agent.destroy();
console.log(JSON.stringify(took));
