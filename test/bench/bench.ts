// `npm run bench`: what a request, a clone, a push and a large body cost through Steno, beside what they cost without.
// --only small|latency|git|push|bulk|disk|policy|mask|encrypt|fuzz|evidence|added|stream|holds (repeatable)   --minutes 10 how long the stream is   --quick a few seconds each, to see that it runs
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readBuild } from "#scripts/build.ts";
import { startGitHttp } from "#test/support/servers/git-http.ts";
import { startNginxStatic } from "#test/support/servers/nginx-static.ts";
import { type Amount, measureAdded } from "./added/added.ts";
import { measureShim } from "./added/shim.ts";
import { measureStream } from "./added/stream.ts";
import { stage } from "./added/variants.ts";
import { measureBulk, startBulkUpstream } from "./bulk.ts";
import { measureEncrypt } from "./encrypt.ts";
import { measureSealing, type Around as SealingAround } from "./evidence/sealing.ts";
import { measureSizes, measureVerify } from "./evidence/verifying.ts";
import { cachedRepository, measureGit, serveRepository } from "./git.ts";
import { type Amount as HoldsAmount, measureHolds } from "./holds/holds.ts";
import { measureLatency } from "./latency.ts";
import { measureMask } from "./mask.ts";
import { type Row, table } from "./measure.ts";
import { measurePolicy } from "./policy.ts";
import { agree } from "./push/agree.ts";
import { fuzz, packsOf } from "./push/fuzz.ts";
import { measureInspection } from "./push/inspect.ts";
import { measurePack } from "./push/pack.ts";
import { measureDisturbed, SLOWER_US, slowFsync } from "./slow-disk.ts";
import { measureSmall, openSessions, tokenFile } from "./small.ts";
import { bareWorkerd, direct, nginx, startIdentity, steno, type Target } from "./targets.ts";

const PARTS = [
  "small",
  "latency",
  "git",
  "push",
  "bulk",
  "disk",
  "policy",
  "mask",
  "encrypt",
  "fuzz",
  "evidence",
  "added",
  "stream",
  "holds",
] as const;
type Part = (typeof PARTS)[number];
/** These need none of the servers of the others. */
const ALONE: ReadonlySet<Part> = new Set(["policy", "mask", "encrypt", "fuzz", "added", "stream", "holds"]);

interface Size {
  readonly seconds: number;
  readonly rounds: number;
  readonly megabytes: number;
  readonly commits: number;
  readonly bodies: readonly number[];
  /** Megabytes of recordings to verify and of each kind of session, sessions to open, and seals to wait for. */
  readonly evidence: {
    readonly verify: number;
    readonly session: number;
    readonly sessions: number;
    readonly seals: number;
  };
  readonly holds: HoldsAmount;
  readonly added: Amount & { readonly hooks: number };
}

const FULL: Size = {
  seconds: 6,
  rounds: 3,
  megabytes: 100,
  commits: 400,
  bodies: [100, 1000],
  evidence: { verify: 1000, session: 40, sessions: 480, seals: 40 },
  holds: { decisions: 40, pushes: 48, megabytes: 20, warmSeconds: 45, holds: 1000 },
  added: { calls: 1500, chats: 600, streams: 120, floods: 10, hooks: 100 },
};
const QUICK: Size = {
  seconds: 2,
  rounds: 1,
  megabytes: 5,
  commits: 20,
  bodies: [10, 50],
  evidence: { verify: 60, session: 4, sessions: 48, seals: 4 },
  holds: { decisions: 3, pushes: 3, megabytes: 1, warmSeconds: 1, holds: 40 },
  added: { calls: 60, chats: 30, streams: 10, floods: 2, hooks: 10 },
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      quick: { type: "boolean", default: false },
      minutes: { type: "string" },
    },
  });
  const wrong = (values.only ?? []).find((part) => !(PARTS as readonly string[]).includes(part));
  if (wrong !== undefined) throw new Error(`--only ${wrong}: one of ${PARTS.join(", ")}`);
  const parts = PARTS.filter((part) => values.only?.includes(part) ?? true);
  const directory = mkdtempSync(join(tmpdir(), "steno-bench-"));
  const tables: Record<string, Row[]> = {};
  const show = (title: string, rows: Row[]) => {
    tables[title] = rows;
    console.log(table(title, rows));
  };
  const build = readBuild().digest;
  console.log(`${machine()}; build ${build.slice(0, 12)}; load ${load()}\n`);
  try {
    if (parts.includes("policy"))
      show("One decision, of Cedar in Node", await measurePolicy(values.quick ? 200 : 2000));
    if (parts.includes("mask")) {
      const { speed, waits } = measureMask(values.quick ? 1 : 8);
      show("Masking, in Node", speed);
      show("A streamed answer, masked: how much later its letters leave", waits);
    }
    if (parts.includes("encrypt"))
      show("A segment encrypted, in Node", await measureEncrypt(16, values.quick ? 3 : 9));
    if (parts.includes("fuzz")) {
      show("Bent input", await fuzz(await packsOf(directory), values.quick ? 6 : 180));
      show("Changed paths", await agree(values.quick ? 10 : 300));
    }
    if (parts.includes("added")) await added((values.quick ? QUICK : FULL).added, directory, show);
    if (parts.includes("stream")) {
      const minutes = Number(values.minutes ?? (values.quick ? 0.2 : 10));
      show(`A stream of ${minutes} minutes`, await measureStream(minutes, directory));
    }
    if (parts.includes("holds"))
      for (const [title, rows] of await measureHolds((values.quick ? QUICK : FULL).holds, directory))
        show(title, rows);
    if (parts.some((part) => !ALONE.has(part)))
      await bench(parts, values.quick ? QUICK : FULL, directory, show);
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
  const at = new Date().toISOString();
  mkdirSync(".steno/bench", { recursive: true });
  const file = `.steno/bench/${at.replaceAll(":", "-")}.json`;
  const found = { at, machine: machine(), build, load: load(), quick: values.quick, tables };
  writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
  console.log(`load ${load()}; written to ${file}`);
}

type Show = (title: string, rows: Row[]) => void;

async function bench(parts: readonly Part[], size: Size, directory: string, show: Show): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  const begun = <T extends { stop(): Promise<void> }>(started: T): T => {
    stops.unshift(() => started.stop());
    return started;
  };
  try {
    const small = begun(await startNginxStatic());
    const server = begun(await startGitHttp());
    const bulk = await startBulkUpstream(directory);
    stops.unshift(() => bulk.child.stop());
    const { oidc, tokens } = await startIdentity();
    begun(oidc);
    const upstreams = { small: small.url, git: server.plainUrl, bulk: bulk.url };
    const node = (topology: "single" | "split", name: string, preload?: ReturnType<typeof slowFsync>) =>
      steno(topology, upstreams, { directory: join(directory, name), issuer: oidc.issuer, preload });
    const file = tokenFile(directory, "tokens", tokens);
    if (parts.includes("evidence"))
      await evidence(size, { directory, issuer: oidc.issuer, tokens, upstream: bulk.url }, show);
    if (parts.some((part) => part !== "disk" && part !== "evidence" && !ALONE.has(part))) {
      const targets: Target[] = [
        direct(upstreams),
        begun(await nginx(upstreams, directory)),
        begun(await bareWorkerd(upstreams, directory)),
        begun(await node("single", "single")),
        begun(await node("split", "split")),
      ];
      for (const target of targets) await openSessions(target, tokens);
      await telling(targets, () => steady(parts, size, targets, { directory, tokens, file, server, show }));
    }
    if (!parts.includes("disk")) return;
    const preload = slowFsync(directory);
    if (preload === undefined) return console.log("disk: left out, there is no C compiler (cc)\n");
    const [own = "", ...others] = tokens;
    const disturbed = {
      seconds: size.seconds,
      tokens,
      hurried: tokenFile(directory, "hurried", others),
      unhurried: tokenFile(directory, "unhurried", [own]),
    };
    const nodes = [
      begun(await node("single", "disk-single")),
      begun(await node("split", "disk-split")),
      begun(await node("single", "slow-single", preload)),
      begun(await node("split", "slow-split", preload)),
    ];
    show(
      `Requests of others beside 16 busy connections; "slow" is fsync + ${SLOWER_US / 1000} ms`,
      await telling(nodes, () => measureDisturbed(nodes, disturbed)),
    );
  } finally {
    for (const stop of stops) await stop();
  }
}

/** Before the rest: what it writes is large, and gone again. */
async function evidence(
  { evidence: amount, rounds }: Size,
  around: SealingAround,
  show: Show,
): Promise<void> {
  const { verify, session, sessions, seals } = amount;
  show(`Sealed sessions of ${session} MB`, await measureSizes(session));
  show("Heads and seals", await measureSealing(around, { sessions, seals, megabytes: 10 }));
  show(
    `steno verify of ${verify} MB and a quarter of that`,
    await measureVerify(around.directory, verify, rounds),
  );
}

async function added(amount: Size["added"], directory: string, show: Show): Promise<void> {
  const { variants, stop } = await stage(directory);
  try {
    await telling(variants, async () => {
      for (const [title, rows] of await measureAdded(variants, amount, directory)) show(title, rows);
      show("The shim of a hook", await measureShim(variants, amount.hooks));
    });
  } finally {
    await stop();
  }
}

/** A failed run says what the targets said. */
async function telling<T>(
  targets: readonly Pick<Target, "name" | "log">[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    for (const target of targets) console.error(`--- ${target.name}\n${target.log()}`);
    throw thrown;
  }
}

interface Around {
  readonly directory: string;
  readonly tokens: readonly string[];
  readonly file: string;
  readonly server: Awaited<ReturnType<typeof startGitHttp>>;
  readonly show: Show;
}

/** Bulk after the rest: a process's peak memory never falls again, and large recordings leave much to store. */
async function steady(
  parts: readonly Part[],
  size: Size,
  targets: readonly Target[],
  { directory, tokens, file, server, show }: Around,
): Promise<void> {
  const { seconds, rounds } = size;
  const [token = ""] = tokens;
  if (parts.includes("small"))
    show("Small requests at full speed", await measureSmall(targets, { tokens, file }, { seconds, rounds }));
  if (parts.includes("latency"))
    show(
      "Small requests at 100/s on one connection",
      await measureLatency(targets, file, { rate: 100, seconds, rounds }),
    );
  if (parts.includes("git")) {
    const source = await cachedRepository(size);
    const git = { server, source, token, directory: join(directory, "work") };
    await serveRepository(git);
    const { clone, push } = await measureGit(targets, git, rounds);
    show(`Clone of ${size.megabytes} MB in ${size.commits} commits`, clone);
    show(`Push of ${size.megabytes} MB in ${size.commits} commits`, push);
  }
  if (parts.includes("push")) {
    const source = await cachedRepository(size);
    const git = { server, source, token, directory: join(directory, "work") };
    show("Reading a pack", await measurePack(source, directory, rounds));
    show(
      `Push of ${size.megabytes} MB, inspected no further than its refs, and in full`,
      await measureInspection(targets, git, rounds),
    );
  }
  if (parts.includes("bulk"))
    show("One large body", await measureBulk(targets, token, size.bodies, Math.min(rounds, 2)));
}

const load = (): string =>
  loadavg()
    .map((each) => each.toFixed(1))
    .join(" ");
const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, Linux ${release()}, Node ${process.version}`;

await main();
