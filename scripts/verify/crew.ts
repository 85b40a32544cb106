/** Threads that verify sessions and segments. Each opens the source for itself: stored bytes do not cross threads. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Seed } from "#durable/proof/verify/context.ts";
import type { Crew } from "#durable/proof/verify/crew.ts";
import type { SessionPlace, SessionVerified } from "#durable/proof/verify/session.ts";
import type { Examined, SegmentTask } from "#durable/proof/verify/tape/examine.ts";
import type { BucketOptions } from "./bucket.ts";

/** Where the evidence is, as plain values: every thread makes the same source of it. */
export type Whereabouts =
  | { readonly kind: "folder"; readonly root: string }
  | { readonly kind: "page"; readonly file: string }
  | { readonly kind: "bucket"; readonly url: string; readonly options: BucketOptions };

export type Task =
  | { readonly what: "session"; readonly place: SessionPlace }
  | { readonly what: "segment"; readonly task: SegmentTask };
export type Start = { readonly where: Whereabouts; readonly seed: Seed };
export type Order = { readonly id: number; readonly task: Task };
export type Reply = { readonly id: number } & (
  | { readonly done: SessionVerified | Examined }
  | { readonly failed: string }
);

const THREADS_MAX = 16;
const YOUNG_MB = 96;
/** While one task of a thread waits for the source, another computes. */
const TASKS_EACH = 2;

type Waiting = {
  readonly resolve: (done: SessionVerified | Examined) => void;
  readonly reject: (cause: Error) => void;
};
type Thread = { readonly worker: Worker; readonly waiting: Map<number, Waiting> };

/** What the verifier is given, and how its threads are ended. None are begun before there is something to do. */
export type Gathered = { readonly crew: (seed: Seed) => Crew; readonly dismiss: () => Promise<void> };

export function gather(
  where: Whereabouts,
  threads = Math.min(availableParallelism(), THREADS_MAX),
): Gathered {
  const pools: Pool[] = [];
  return {
    crew(seed) {
      const pool = new Pool({ where, seed }, threads);
      pools.push(pool);
      return {
        width: threads,
        session: (place) => pool.run({ what: "session", place }) as Promise<SessionVerified>,
        segment: (task) => pool.run({ what: "segment", task }) as Promise<Examined>,
      };
    },
    async dismiss() {
      await Promise.all(pools.map((pool) => pool.end()));
    },
  };
}

class Pool {
  readonly #start: Start;
  readonly #size: number;
  readonly #threads: Thread[] = [];
  readonly #queue: { readonly order: Order; readonly waiting: Waiting }[] = [];
  #next = 0;

  constructor(start: Start, size: number) {
    this.#start = start;
    this.#size = size;
  }

  run(task: Task): Promise<SessionVerified | Examined> {
    const { promise, resolve, reject } = Promise.withResolvers<SessionVerified | Examined>();
    this.#queue.push({ order: { id: this.#next++, task }, waiting: { resolve, reject } });
    this.#give();
    return promise;
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #give(): void {
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      const thread = this.#idle();
      if (!thread) return;
      this.#queue.shift();
      thread.waiting.set(next.order.id, next.waiting);
      thread.worker.postMessage(next.order);
    }
  }

  /** The thread with the least to do; a new one while there may be more, unless one has nothing to do. */
  #idle(): Thread | undefined {
    const [least] = this.#threads.toSorted((a, b) => a.waiting.size - b.waiting.size);
    if (least?.waiting.size === 0) return least;
    if (this.#threads.length < this.#size) return this.#begin();
    return least && least.waiting.size < TASKS_EACH ? least : undefined;
  }

  #begin(): Thread {
    const worker = new Worker(new URL("crew-thread.ts", import.meta.url), {
      workerData: this.#start,
      execArgv: [],
      // Most of what a thread makes is a line's text, and gone with the line: it should not be copied to older space first.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    const thread: Thread = { worker, waiting: new Map() };
    worker.on("message", (reply: Reply) => this.#settle(thread, reply));
    // Only a fault of ours, or of its memory, ends a thread: then nothing it had to do has been verified.
    worker.on("error", (cause) => this.#lose(thread, cause));
    this.#threads.push(thread);
    return thread;
  }

  #settle({ waiting }: Thread, reply: Reply): void {
    const who = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ("done" in reply) who?.resolve(reply.done);
    else who?.reject(new Error(reply.failed));
    this.#give();
  }

  #lose({ waiting }: Thread, cause: unknown): void {
    const lost = new Error("a thread of the verifier ended before it was done", { cause });
    for (const { reject } of waiting.values()) reject(lost);
    for (const {
      waiting: { reject },
    } of this.#queue.splice(0))
      reject(lost);
    waiting.clear();
  }
}
