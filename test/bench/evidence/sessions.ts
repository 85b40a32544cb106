// What three kinds of agents make pass: a model that is asked with a growing conversation, git, and MCP tools.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { utf8 } from "#durable/proof/bytes.ts";
import type { Archive } from "#test/unit/proof/recording.ts";
import { pieces, Tape } from "./tape.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** Real text, as tools answer with it: this repository's own sources. */
export function sourceTexts(): string[] {
  return ["durable", "workers", "scripts", "docs", "test/unit"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => /\.(ts|tsx|md)$/.test(path))
      .toSorted()
      .map((path) => readFileSync(join(ROOT, folder, path), "utf8")),
  );
}

/** Numbers that look random and are the same in each run. */
function* chance(seed: number): Generator<number, never> {
  for (let state = seed >>> 0 || 1; ; ) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield (state >>> 0) / 2 ** 32;
  }
}

const one = <T>(values: readonly T[], at: number): T => values[Math.floor(at * values.length)] as T;

/** Each request carries the whole conversation so far; each answer streams a few words an event. */
export async function llmSession(archive: Archive, n: number, rawBytes: number): Promise<Tape> {
  const texts = sourceTexts();
  const dice = chance(n + 1);
  const roll = () => dice.next().value;
  const tape = new Tape(archive, n);
  await tape.begin();
  const fresh = () => [{ role: "system", content: texts.slice(0, 3).join("\n") }];
  let messages: object[] = fresh();
  let size = 0;
  for (let turn = 0; tape.raw.bodies < rawBytes; turn++) {
    // A model's window is full after some hundred thousand words: then a conversation is begun anew.
    if (size > 700_000) [messages, size] = [fresh(), 0];
    const found = one(texts, roll()).slice(0, 12_000);
    messages.push({
      role: "user",
      content: [{ type: "tool_result", tool_use_id: `toolu_${turn}`, content: found }],
    });
    const body = utf8(JSON.stringify({ model: "model-1", max_tokens: 8192, stream: true, messages }));
    size = body.byteLength;
    const said = one(texts, roll()).slice(0, 400 + Math.floor(roll() * 2_000));
    const words = said.match(/\S+\s*/g) ?? [];
    const events: string[] = [];
    for (let at = 0; at < words.length; at += 8) {
      const delta = { type: "text_delta", text: words.slice(at, at + 8).join("") };
      events.push(
        `event: content_block_delta\ndata: ${JSON.stringify({ type: "content_block_delta", index: 0, delta })}\n\n`,
      );
    }
    events.push('event: message_stop\ndata: {"type":"message_stop"}\n\n');
    await tape.exchange({ path: "/v1/messages", request: body, response: events.map(utf8) });
    messages.push({ role: "assistant", content: said });
  }
  await tape.close();
  return tape;
}

/** Advertisements, and now and then a fetch whose pack is as dense as packs are. */
export async function gitSession(archive: Archive, n: number, rawBytes: number): Promise<Tape> {
  const dice = chance(n + 1);
  const roll = () => dice.next().value;
  const tape = new Tape(archive, n);
  await tape.begin();
  const oid = () => randomBytes(20).toString("hex");
  const refs = Array.from({ length: 60 }, (_, i) => `${oid()} refs/heads/topic-${i}\n`).join("");
  while (tape.raw.bodies < rawBytes) {
    const advertised = {
      operation: { kind: "git.refs", repository: "app", service: "git-upload-pack", version: 2 },
    } as const;
    for (let i = 0; i < 4; i++)
      await tape.exchange({
        ...advertised,
        path: "/app/git-upload-pack",
        request: utf8("0014command=ls-refs\n0000"),
        response: [utf8(refs)],
      });
    const wants = [oid()];
    const operation = {
      kind: "git.fetch",
      repository: "app",
      version: 2,
      wants,
      wantRefs: [],
      haves: 32,
      done: true,
      capabilities: [],
    } as const;
    const haves = Array.from({ length: 32 }, () => `0032have ${oid()}\n`).join("");
    const pack = randomBytes(Math.floor(20_000 + roll() * 400_000));
    await tape.exchange({
      operation,
      path: "/app/git-upload-pack",
      request: utf8(`0011command=fetch0001${haves}0009done\n0000`),
      response: pieces(pack, 65_515),
    });
  }
  await tape.close();
  return tape;
}

/** JSON-RPC calls of tools: small questions, answers of some kilobytes. */
export async function mcpSession(archive: Archive, n: number, rawBytes: number): Promise<Tape> {
  const texts = sourceTexts();
  const dice = chance(n + 1);
  const roll = () => dice.next().value;
  const tape = new Tape(archive, n);
  await tape.begin();
  const tools = ["read_file", "search", "list_issues", "run_query"];
  for (let id = 0; tape.raw.bodies < rawBytes; id++) {
    const from = Math.floor(roll() * 4_000);
    const text = one(texts, roll()).slice(from, from + 200 + Math.floor(roll() * 6_000));
    const call = {
      jsonrpc: "2.0",
      id,
      method: "tools/call",
      params: { name: one(tools, roll()), arguments: { query: text.slice(0, 40), limit: id % 50 } },
    };
    const answer = { jsonrpc: "2.0", id, result: { content: [{ type: "text", text }], isError: false } };
    await tape.exchange({
      path: "/mcp",
      request: utf8(JSON.stringify(call)),
      response: [utf8(`event: message\ndata: ${JSON.stringify(answer)}\n\n`)],
    });
  }
  await tape.close();
  return tape;
}
