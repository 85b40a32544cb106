// A program of its own: the same GET at a fixed rate over one kept connection, `node pace.ts <url> <rate> <seconds> [tokens]`.
// Prints how long the answers took, in milliseconds, as one JSON line; exits 1 when one was not 200.
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const [url = "", rate = "100", seconds = "5", file] = process.argv.slice(2);
const tokens = file === undefined ? [] : readFileSync(file, "utf8").trim().split("\n");
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(n: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const token = tokens[n % tokens.length];
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const began = performance.now();
  get(url, { agent, headers: { "user-agent": "git/2.39.5", ...authorization } }, (response) => {
    response.resume();
    response.once("end", () => {
      if (response.statusCode === 200) resolve(performance.now() - began);
      else reject(new Error(`${url} answers ${response.statusCode}`));
    });
  }).once("error", reject);
  return promise;
}

for (let n = 0; n < 2 * Math.max(tokens.length, 10); n++) await ask(n);
const took: number[] = [];
const began = performance.now();
for (let n = 0; ; n++) {
  const due = (n / Number(rate)) * 1000 - (performance.now() - began);
  if (due > 0) await sleep(due);
  if (performance.now() - began > Number(seconds) * 1000) break;
  took.push(await ask(n));
}
took.sort((a, b) => a - b);
const at = (share: number): number => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0;
console.log(JSON.stringify({ requests: took.length, p50: at(0.5), p99: at(0.99), max: at(1) }));
agent.destroy();
