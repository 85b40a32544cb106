// A model that writes for minutes: every event arrives, in its order, byte for byte, and the gateway's memory stays as it was.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { endSessions } from "#test/support/git-site.ts";
import { startOidc } from "#test/support/servers/oidc.ts";
import { memoryOf, type Row } from "../measure.ts";
import { isWorkerd } from "../targets.ts";
import { CHAT, chatAt, DETECTORS, type Endpoint, startAgentNode, startAgentUpstream } from "./variants.ts";

const EVERY_MS = 10;
const SAMPLE_MS = 2_000;

type Heard = {
  readonly events: number;
  readonly bytes: number;
  /** Of all bytes, and of what is written in the events. */
  readonly sha256: string;
  readonly text: string;
  /** The longest time without a byte, ms. */
  readonly silent: number;
};

/** Reads a stream to its end. Throws when it has fewer events. */
async function hear({ url, headers }: Endpoint, events: number): Promise<Heard> {
  const body = JSON.stringify({
    model: `every-${EVERY_MS}-n${events}`,
    stream: true,
    messages: [{ role: "user", content: "Write for a while." }],
  });
  const sent = request(url, {
    method: "POST",
    agent: false,
    headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers },
  });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${url} answers ${response.statusCode}`);
  const hash = createHash("sha256");
  const text = createHash("sha256");
  let bytes = 0;
  let count = 0;
  let silent = 0;
  let last = performance.now();
  let rest = "";
  for await (const part of response) {
    const chunk = part as Buffer;
    silent = Math.max(silent, performance.now() - last);
    last = performance.now();
    hash.update(chunk);
    bytes += chunk.length;
    const lines = (rest + chunk.toString("latin1")).split("\n\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((each) => each !== "data: [DONE]")) {
      const { choices } = JSON.parse(line.slice("data: ".length)) as Event;
      text.update(choices[0]?.delta.content ?? "");
      count += 1;
    }
  }
  // What a masker still holds at the end it tells in an event of its own.
  if (count < events || rest !== "") throw new Error(`${url}: ${count} of ${events} events, then ${rest}`);
  return { events: count, bytes, sha256: hash.digest("hex"), text: text.digest("hex"), silent };
}

type Event = { readonly choices: readonly { readonly delta: { readonly content?: string } }[] };

const POLICY = `
@id("all") @reason("developers work here")
permit (principal in Group::"developers", action, resource);
`;

/**
 * The same stream three times at once: direct, through a connection that records it, and through one that masks it as well,
 * where a letter may stand in a later event than it came in; then what the record says of them.
 */
export async function measureStream(minutes: number, directory: string): Promise<Row[]> {
  const events = Math.round((minutes * 60_000) / EVERY_MS);
  const agent = await startAgentUpstream(directory);
  const oidc = await startOidc();
  const node = await startAgentNode(agent.url, oidc.issuer, {
    directory: join(directory, "stream"),
    connections: [
      { name: "plain", kind: "http", upstream: agent.url },
      { name: "models", kind: "llm", upstream: agent.url, mask: DETECTORS },
    ],
    policies: { "all.cedar": POLICY },
    mask: { detectors: [] },
  });
  const memory: number[] = [];
  const sample = () => {
    const pids = node.workerds().filter(isWorkerd);
    memory.push(pids.reduce((sum, pid) => sum + memoryOf(pid), 0));
  };
  const sampling = setInterval(sample, SAMPLE_MS);
  try {
    const token = await oidc.token({ sub: "alice", audience: "steno", expiresIn: minutes * 60 + 600 });
    sample();
    const headers = { authorization: `Bearer ${token}` };
    const [direct, recorded, masked] = await Promise.all([
      hear({ url: `${agent.url}${CHAT}`, headers: {} }, events),
      hear({ url: `${node.gateway()}/http/plain${CHAT}`, headers }, events),
      hear({ url: chatAt(node), headers }, events),
    ]);
    if (direct.sha256 !== recorded.sha256) throw new Error("other bytes came than were sent");
    if (direct.text !== masked.text) throw new Error("another text came than was written");
    sample();
    await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
    const { code, out } = await node.cli("verify", node.archive);
    if (code !== 0) throw new Error(`steno verify: ${out}`);
    const heard = { direct, "recorded: the same bytes": recorded, "masked: the same text": masked };
    return [
      ...Object.entries(heard).map(([stream, of]) => told(stream, of)),
      { stream: "the node, both at once", ...summed(memory) },
    ];
  } catch (thrown) {
    console.error(node.output().slice(-3000));
    throw thrown;
  } finally {
    clearInterval(sampling);
    await node.stop();
    await oidc.stop();
    await agent.child.stop();
  }
}

const told = (stream: string, { events, bytes, silent }: Heard): Row => ({
  stream,
  events: String(events),
  MB: bytes / 1e6,
  "longest silence, ms": silent,
});

/** What is begun with is not what is kept: the first fifth is left out of the means. */
function summed(memory: readonly number[]): Row {
  const settled = memory.slice(Math.floor(memory.length / 5));
  const half = Math.floor(settled.length / 2);
  const mean = (values: readonly number[]) =>
    (values.reduce((sum, each) => sum + each, 0) / values.length).toFixed(0);
  return {
    "RSS MB at first": String(memory[0]),
    "at most": String(Math.max(...memory)),
    "mean of the middle": mean(settled.slice(0, half)),
    "mean of the end": mean(settled.slice(half)),
  };
}
