#!/usr/bin/env node
// shim.sh for machines without a POSIX shell: node shim.mjs cursor|claude EVENT, the event's JSON on standard input.
// One file, no dependencies, any Node from 18 on. Its answers are those of shim.sh, by the same tests.
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { homedir } from "node:os";
import { join } from "node:path";

const CONNECT_SECONDS = 5;
const env = process.env;
const [, , agent = "", event = ""] = process.argv;

/** A no, and why: exit 2 where the event can be stopped, else exit 1. */
class Unanswered extends Error {}

function directory() {
  const home = env.HOME || homedir();
  if (process.platform === "win32") return join(env.APPDATA || join(home, "AppData", "Roaming"), "steno");
  const mac = join(home, "Library", "Application Support", "steno");
  return existsSync(mac) ? mac : join(env.XDG_CONFIG_HOME || join(home, ".config"), "steno");
}

/** The first line of a file; empty when it cannot be read. */
function firstLine(path) {
  try {
    return readFileSync(path, "utf8").split("\n", 1)[0].replace(/\r$/, "").trim();
  } catch {
    // As if it were not there: what is missing is said below.
    return "";
  }
}

function tokenIn(dir) {
  const token = (env.STENO_TOKEN || "").trim() || firstLine(join(dir, "token"));
  if (token === "")
    throw new Unanswered(`there is no token: set STENO_TOKEN, or keep it in ${join(dir, "token")}`);
  if (!/^[\x21-\x7e]+$/.test(token) || /["\\]/.test(token)) throw new Unanswered("the token is none");
  return token;
}

function urlIn(dir) {
  const base = (env.STENO_GATEWAY || "").trim() || firstLine(join(dir, "gateway")) || "http://127.0.0.1:8787";
  try {
    const url = new URL(`${base.replace(/\/$/, "")}/hooks/${agent}`);
    if (url.protocol === "http:" || url.protocol === "https:") return url;
  } catch {
    // What it is instead is of no use to anybody.
  }
  throw new Unanswered("the gateway's URL is none: it begins with http:// or https://");
}

function seconds(name, otherwise) {
  const text = env[name] || otherwise;
  if (!/^\d{1,6}$/.test(text)) throw new Unanswered(`${name} is not a number of seconds`);
  return Number(text);
}

/** No proxy, no redirect: the token is for the gateway. */
function ask(url, token, said) {
  const tls = url.protocol === "https:";
  const whole = seconds("STENO_HOOK_SECONDS", "30");
  return new Promise((resolve, reject) => {
    const fail = (thrown) => reject(new Unanswered(`the gateway does not answer: ${thrown.message}`));
    const request = (tls ? https : http).request(url, {
      method: "POST",
      agent: new (tls ? https : http).Agent({ keepAlive: false }),
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "content-length": said.length,
        "user-agent": `steno-hook/${agent}`,
        accept: "*/*",
      },
    });
    const late = (after, what) => setTimeout(() => request.destroy(new Error(what)), after * 1000);
    const connecting = late(CONNECT_SECONDS, "it cannot be reached in time");
    const asking = late(whole, `no answer within ${whole} s`);
    request.on("socket", (socket) =>
      socket.once(tls ? "secureConnect" : "connect", () => clearTimeout(connecting)),
    );
    request.on("error", fail);
    request.on("close", () => {
      clearTimeout(connecting);
      clearTimeout(asking);
    });
    request.on("response", (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", fail);
      response.on("end", () =>
        resolve({
          status: response.statusCode,
          body: Buffer.concat(parts).toString("utf8").replace(/\n$/, ""),
        }),
      );
    });
    request.end(said);
  });
}

async function answer() {
  if (agent !== "cursor" && agent !== "claude") throw new Unanswered("say cursor or claude, and the event");
  // Cursor runs the hooks of Claude Code too, and has been asked by its own.
  if (agent === "claude" && env.CURSOR_VERSION && !env.CLAUDECODE) return "{}\n";
  const dir = directory();
  const token = tokenIn(dir);
  const url = urlIn(dir);
  const until = Date.now() + seconds("STENO_HOLD_SECONDS", "540") * 1000;
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  const said = Buffer.concat(parts);
  for (;;) {
    const { status, body } = await ask(url, token, said);
    // 202: nobody has decided yet; its body is a no.
    if (status === 202 && Date.now() < until) continue;
    if (status !== 200 && status !== 202) throw new Unanswered(`the gateway says ${status}: ${body}`);
    if (!body.startsWith("{")) throw new Unanswered("the answer is not a gateway's");
    return `${body}\n`;
  }
}

const TOLD = {
  cursor: /^(session.*|after.*|post.*|stop|subagentStop|preCompact|workspaceOpen)$/,
  claude: /^(Session.*|PostToolUse.*|Stop|SubagentStop|PreCompact)$/,
};

function refuse(message) {
  const as = agent === "claude" ? "claude" : "cursor";
  const why = `steno: ${message}`;
  process.stderr.write(`${why}\n`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what may not stand in it
  const plain = why.replace(/[\x00-\x1f"\\]/g, "");
  if (as === "cursor" && event === "beforeSubmitPrompt")
    process.stdout.write(`${JSON.stringify({ continue: false, user_message: plain })}\n`);
  else if (as === "cursor" && /^(preToolUse|before.*|subagentStart)$/.test(event))
    process.stdout.write(
      `${JSON.stringify({ permission: "deny", user_message: plain, agent_message: plain })}\n`,
    );
  return TOLD[as].test(event) ? 1 : 2;
}

try {
  process.stdout.write(await answer());
} catch (thrown) {
  process.exitCode = refuse(thrown instanceof Error ? thrown.message : String(thrown));
}
