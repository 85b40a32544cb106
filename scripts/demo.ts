/** `npm run demo`: the main job end to end on this machine alone. Each step is real, and any that fails ends the demo. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ROOT } from "./build.ts";
import { type AgentOptions, agentSession, untilSealed } from "./demo/agent/agent.ts";
import { readEvidence } from "./demo/evidence.ts";
import { type DemoGateway, startGateway, verifyOffline } from "./demo/gateway.ts";
import { type GitServer, startGitServer } from "./demo/git-server.ts";
import { leadAt } from "./demo/lead.ts";
import { startModelServer } from "./demo/model-server.ts";
import { type RunningProvider, startOidcProvider } from "./demo/oidc-provider.ts";
import { gitEnvironment, run } from "./demo/program.ts";
import { startToolServer } from "./demo/tool-server.ts";

const PEOPLE = {
  alice: { groups: ["developers"], name: "Alice Archer", email: "alice@example.test" },
  bob: { groups: ["leads"], name: "Bob Baker", email: "bob@example.test" },
  carol: { groups: ["security"], name: "Carol Clerk", email: "carol@example.test" },
  dave: { groups: ["platform"], name: "Dave Docker", email: "dave@example.test" },
};
const DEADLINE_MS = 110_000;
const HOUR = 3600;

type Stop = () => Promise<void>;
type Stage = { step: string; readonly stops: Stop[]; readonly directory: string };

const say = (line: string): void => console.log(line);

/** Back with the last line when everything was as it should be; throws otherwise. */
async function perform(stage: Stage, keep: boolean): Promise<string> {
  const { directory, stops } = stage;
  stage.step = "start the identity provider";
  const oidc = await startOidcProvider({ users: PEOPLE, audiences: ["steno", "steno-console"] });
  stops.unshift(() => oidc.stop());
  stage.step = "start the git server";
  const credential = `gateway:${randomBytes(18).toString("base64url")}`;
  const git = await gitServer(join(directory, "git"), credential);
  stops.unshift(() => git.stop());
  stage.step = "start the model";
  const secret = `ghp_${randomBytes(40).toString("base64url").replaceAll(/[-_]/g, "").slice(0, 36).padEnd(36, "0")}`;
  const model = await startModelServer(secret);
  stops.unshift(() => model.stop());
  stage.step = "start the MCP server";
  const tools = await startToolServer();
  stops.unshift(() => tools.stop());
  stage.step = "start the gateway";
  const upstreams = { upstream: git.url, model: model.url, tools: tools.url };
  const options = { directory, issuer: oidc.issuer, credential, ...upstreams };
  const gateway = await startGateway(options, (stop) => stops.unshift(stop));
  say(`gateway ${gateway.url}`);
  say(`console ${gateway.console}`);
  say(`evidence ${gateway.evidence}`);
  say("");
  stage.step = "keep the agent away from the git server";
  await turnedAway(git);
  stage.step = "run the agent";
  const agent = { ...(await agentOf(oidc, gateway, git, directory)), secret };
  const session = await agentSession(agent);
  stage.step = "seal the session";
  const told = await untilSealed(agent, session);
  stage.step = "see the session on the console";
  const auditor = await oidc.token({ sub: "carol", audience: "steno-console", expiresIn: HOUR });
  await seenOnConsole(gateway, session, auditor);
  stage.step = "end the gateway's own session";
  const admin = await oidc.token({ sub: "dave", audience: "steno-console", expiresIn: HOUR });
  await endOthers(gateway, session, admin);
  stage.step = "verify the evidence offline";
  const verdict = await verifyOffline(gateway.evidence, gateway.sealPub);
  const sealed = await readEvidence(gateway.evidence, session);
  if (Buffer.from(told.root ?? "", "base64").toString("hex") !== sealed.root)
    throw new Error("the gateway and the seal name different roots");
  say("");
  for (const line of sealed.report) say(line);
  say(`verified  ${verdict}; again, at any time: npx steno verify ${gateway.evidence}`);
  if (keep) {
    say(`auditor   curl -H "Authorization: Bearer ${auditor}" ${gateway.console}/api/v1/sessions`);
    say("kept      until Ctrl-C");
  }
  return `sealed ${session} frames=${sealed.frames} root=${sealed.root} verify=ok`;
}

/** With one repository on it, whose main branch has one commit. */
async function gitServer(directory: string, credential: string): Promise<GitServer> {
  const [user = "", password = ""] = credential.split(":");
  const server = await startGitServer({ directory, user, password });
  const bare = await server.createRepository("team/app.git");
  const seed = join(directory, "seed");
  mkdirSync(seed);
  const config = join(directory, "seed-gitconfig");
  writeFileSync(config, "[user]\n\tname = Alice Archer\n\temail = alice@example.test\n");
  const env = gitEnvironment(directory, config);
  writeFileSync(join(seed, "README.md"), "# app\n");
  for (const line of ["init -q -b main", "add README.md", "commit -q -m Begin", `push -q`])
    await run("git", [...line.split(" "), ...(line.startsWith("push") ? [bare, "main"] : [])], {
      cwd: seed,
      env,
    });
  return server;
}

/** The upstream's credential is the gateway's alone: without it nobody gets in. */
async function turnedAway(git: GitServer): Promise<void> {
  const { status } = await fetch(`${git.url}/team/app.git/info/refs?service=git-upload-pack`);
  if (status !== 401) throw new Error(`the git server answered ${status} to somebody without its credential`);
  say("The git server turns away whoever comes without its credential, which only the gateway has.");
}

async function agentOf(
  oidc: RunningProvider,
  { url, console }: DemoGateway,
  git: GitServer,
  directory: string,
): Promise<Omit<AgentOptions, "secret">> {
  const claims = { act: { sub: "cursor" } };
  const token = await oidc.token({ sub: "alice", audience: "steno", expiresIn: HOUR, claims });
  const leads = await oidc.token({ sub: "bob", audience: "steno-console", expiresIn: HOUR });
  const lead = leadAt(console, leads, say);
  return { directory: join(directory, "agent"), gateway: url, upstream: git.url, token, lead, say };
}

async function seenOnConsole(gateway: DemoGateway, session: string, token: string): Promise<void> {
  const url = `${gateway.console}/api/v1/sessions/${session}`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
}

type Listed = { readonly session: string; readonly status: string };

/** The gateway records in a session of its own who came without a token, as git does first; an admin ends it. */
async function endOthers(gateway: DemoGateway, session: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const ask = async (path: string, method = "GET"): Promise<unknown> => {
    const response = await fetch(`${gateway.console}/api/v1/sessions${path}`, { method, headers });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  const others = async () =>
    ((await ask("")) as { readonly sessions: readonly Listed[] }).sessions.filter(
      (each) => each.session !== session && each.status !== "sealed",
    );
  for (const { session: other } of await others()) await ask(`/${other}/kill`, "POST");
  for (let waited = 0; (await others()).length > 0; waited++) {
    if (waited > 1200) throw new Error("the gateway's own session is not sealed");
    await sleep(50);
  }
}

/** Resolves at Ctrl-C or SIGTERM. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve()).once("SIGTERM", () => resolve());
  });
}

async function inTime<T>(work: Promise<T>, interrupt: Promise<void>): Promise<T> {
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not done after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
  void interrupt.then(() => reject(new Error("interrupted")));
  try {
    return await Promise.race([work, cut]);
  } finally {
    clearTimeout(timer);
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { keep: { type: "boolean" } } });
  const keep = values.keep === true;
  const parent = join(ROOT, ".steno");
  mkdirSync(parent, { recursive: true });
  const stage: Stage = { step: "begin", stops: [], directory: mkdtempSync(join(parent, "demo-")) };
  const interrupt = interrupted();
  let sealed = "";
  let failure: unknown;
  try {
    sealed = await inTime(perform(stage, keep), interrupt);
    if (keep) {
      say(sealed);
      await interrupt;
    }
  } catch (thrown) {
    failure = thrown;
  }
  for (const stop of stage.stops) await stop().catch((thrown: unknown) => (failure ??= thrown));
  if (failure === undefined) {
    for (const name of ["agent", "git", "node", "serve.log"])
      rmSync(join(stage.directory, name), { recursive: true, force: true });
    if (!keep) say(sealed);
    return 0;
  }
  console.error(
    `demo: could not ${stage.step}: ${failure instanceof Error ? failure.message : String(failure)}`,
  );
  console.error(`demo: everything is stopped; what there was is in ${stage.directory}`);
  return 1;
}

// Not only its code: a step that was interrupted may still be under way, and what it started ends with this program.
process.exit(await main());
