// What a gateway adds to what an agent does: a tool's call, a chat as a whole, a chat that streams. All are asked in turn,
// request by request, so that a disturbance of the machine hits all of them; added is the difference to the direct request
// of the same round.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "#test/support/servers/children.ts";
import { median, quantile, type Row } from "../measure.ts";
import type { Job, Took } from "../programs/in-turn.ts";
import { timeFsync } from "./fsync.ts";
import type { Endpoint, Variant } from "./variants.ts";

const PROGRAM = new URL("../programs/in-turn.ts", import.meta.url).pathname;

export interface Amount {
  readonly calls: number;
  readonly chats: number;
  readonly streams: number;
  readonly floods: number;
}

type Asked = { readonly variant: Variant; readonly took: readonly Took[] };

const WORDS = "a line of the file that the agent has read, which the model sees once more with each turn. ";
const prose = (length: number): string => WORDS.repeat(Math.ceil(length / WORDS.length)).slice(0, length);

const call = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name: "read", arguments: { text: `#round# ${prose(1024 - 110)}` } },
});
const chat = (model: string, stream: boolean, length: number): string => {
  const content = Array.from({ length: 10 }, () => `#round# ${prose(length / 10 - 8)}`);
  const messages = content.map((text, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content: text }));
  return JSON.stringify({ model, ...(stream && { stream }), messages });
};

export async function measureAdded(
  variants: readonly Variant[],
  amount: Amount,
  directory: string,
): Promise<readonly (readonly [title: string, rows: Row[]])[]> {
  const ask = async (what: "mcp" | "chat", body: string, rounds: number): Promise<Asked[]> => {
    const asked = variants.filter((variant) => variant[what] !== undefined);
    const targets = asked.map((variant) => {
      const { url, headers } = variant[what] as Endpoint;
      const accept = what === "mcp" ? { accept: "application/json, text/event-stream" } : {};
      return { name: variant.name, url, headers: { ...accept, ...headers } };
    });
    const job: Job = { targets, body, rounds, warm: Math.min(30, rounds), pause: 1 };
    const path = join(directory, "job.json");
    writeFileSync(path, JSON.stringify(job));
    const said = await run(process.execPath, [PROGRAM, path], { timeoutMs: 900_000 });
    const took = JSON.parse(said) as Took[][];
    return asked.map((variant, i) => ({ variant, took: sound(took, i, variant.name) }));
  };
  const fsyncs = await timeFsync(directory, 300);
  const calls = await ask("mcp", call, amount.calls);
  const chats = await ask("chat", chat("every-0", false, 50_000), amount.chats);
  const streams = await ask("chat", chat("every-10-n30", true, 2_000), amount.streams);
  const floods = await ask("chat", chat(`every-0-n${FLOOD}`, true, 2_000), amount.floods);
  const disk: Row = { target: "fdatasync of 4 KiB", ...spread(fsyncs) };
  return [
    ["A call of a tool, 1 KiB each way", [...whole(calls), disk]],
    ["A chat, 50 KB each way", [...whole(chats), disk]],
    ["A chat that streams 100 tokens a second: its first token", first(streams)],
    [`A chat that streams ${FLOOD} tokens as fast as they are taken`, flood(floods)],
  ];
}

const FLOOD = 4000;

/** Nothing is compared that did not answer as much as the upstream itself. */
function sound(took: readonly Took[][], i: number, name: string): readonly Took[] {
  const [direct = []] = took;
  const own = took[i] ?? [];
  const short = own.find(({ bytes }, round) => bytes < (direct[round]?.bytes ?? 0) * 0.9);
  if (short) throw new Error(`${name} answered ${short.bytes} bytes`);
  return own;
}

const spread = (values: readonly number[]): Row => ({
  "p50 ms": quantile(values, 0.5),
  "p99 ms": quantile(values, 0.99),
});

/** Of each round against the direct request of the same round. */
function differences({ took }: Asked, [direct]: readonly Asked[], which: "first" | "whole"): number[] {
  return took.map((one, round) => one[which] - (direct?.took[round]?.[which] ?? Number.NaN));
}

const whole = (asked: readonly Asked[]): Row[] =>
  asked.map((one) => {
    const added = differences(one, asked, "whole");
    return {
      target: one.variant.name,
      ...spread(one.took.map((each) => each.whole)),
      "p50 added": median(added),
      "p99 added": quantile(added, 0.99),
      "added to Portkey's": ratio(median(added), portkeys(asked, "whole")),
    };
  });

const first = (asked: readonly Asked[]): Row[] =>
  asked.map((one) => {
    const added = differences(one, asked, "first");
    const speed = (each: Asked) => median(each.took.map((took) => took.whole));
    return {
      target: one.variant.name,
      ...spread(one.took.map((each) => each.first)),
      "p50 added": median(added),
      "p99 added": quantile(added, 0.99),
      "tokens/s to direct": speed(asked[0] ?? one) / speed(one),
    };
  });

const flood = (asked: readonly Asked[]): Row[] =>
  asked.map((one) => {
    const seconds = (each: Asked) => median(each.took.map((took) => took.whole)) / 1000;
    return {
      target: one.variant.name,
      "tokens/s": (FLOOD / seconds(one)).toFixed(0),
      "to direct": seconds(asked[0] ?? one) / seconds(one),
    };
  });

function portkeys(asked: readonly Asked[], which: "first" | "whole"): number {
  const portkey = asked.find(({ variant }) => variant.name === "Portkey");
  return portkey ? median(differences(portkey, asked, which)) : Number.NaN;
}

const ratio = (value: number, to: number): string => (Number.isNaN(to) ? "" : (value / to).toFixed(2));
