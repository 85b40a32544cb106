/** Whether the programs that are MCP servers start, and what they offer. */
import { error, type Finding, ok, reason } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import type { Message } from "#scripts/mcp/message.ts";
import { Child } from "#scripts/programs/child.ts";
import type { Program } from "#scripts/programs/program.ts";
import { programsOf } from "#scripts/serve/plan.ts";

const TIMEOUT_MS = 15_000;
const REVISION = "2025-11-25";

export async function programs(settings: Settings, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const { programs: all, findings } = programsOf(settings, env);
  if (findings.some(({ level }) => level === "error")) return findings;
  return [...findings, ...(await Promise.all(all.map(one)))];
}

async function one(program: Program): Promise<Finding> {
  const at = `program ${program.name}`;
  const heard = Promise.withResolvers<Message>();
  const answers = new Map<unknown, (message: Message) => void>();
  const told: string[] = [];
  const child = new Child(program, {
    said: (message) => answers.get(message.id)?.(message),
    told: (line) => void told.push(line),
    ended: (why) => heard.reject(new Error([why, ...told.slice(-1)].join(": "))),
  });
  const late = setTimeout(
    () => heard.reject(new Error(`it does not answer within ${TIMEOUT_MS / 1000} s`)),
    TIMEOUT_MS,
  );
  const ask = async (id: number, method: string, params: object): Promise<Message> => {
    const answer = new Promise<Message>((resolve) => answers.set(id, resolve));
    // What it does not take is told by how it ends.
    child.say(JSON.stringify({ jsonrpc: "2.0", id, method, params })).catch(() => undefined);
    return Promise.race([answer, heard.promise]);
  };
  try {
    const capabilities = {};
    const clientInfo = { name: "steno-check", version: "1" };
    await ask(1, "initialize", { protocolVersion: REVISION, capabilities, clientInfo });
    await child.say('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    const { result } = await ask(2, "tools/list", {});
    const tools = (result as { readonly tools?: readonly unknown[] } | undefined)?.tools ?? [];
    return ok(at, `starts, and lists ${tools.length} tools`);
  } catch (thrown) {
    return error(at, `does not start: ${reason(thrown)}`);
  } finally {
    clearTimeout(late);
    heard.promise.catch(() => undefined);
    child.kill();
  }
}
