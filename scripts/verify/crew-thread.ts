/** One thread of the crew: sessions and segments of the archive it was started for. */
import { parentPort, workerData } from "node:worker_threads";
import { openWith } from "#durable/proof/age/unseal.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { verifyApart } from "#durable/proof/verify/session.ts";
import { examineSegment } from "#durable/proof/verify/tape/examine.ts";
import { reason } from "#scripts/config/finding.ts";
import { openPageEvidence } from "#scripts/export/read-page.ts";
import type { Order, Reply, Start, Task, Whereabouts } from "./crew.ts";
import { folderSource } from "./folder.ts";
import { hushMlDsa } from "./ml-dsa.ts";

hushMlDsa();
const { where, seed } = workerData as Start;
const source = await sourceAt(where);

parentPort?.on("message", ({ id, task }: Order) => {
  void answer(id, task).then((reply) => parentPort?.postMessage(reply));
});

/** Bad evidence does not throw: what does is the source, and whoever gave the task says so. */
async function answer(id: number, task: Task): Promise<Reply> {
  try {
    return { id, done: await work(task) };
  } catch (cause) {
    return { id, failed: reason(cause) };
  }
}

async function work(task: Task) {
  switch (task.what) {
    case "session":
      return verifyApart(source, { ...seed, open: openWith }, task.place);
    case "segment":
      return examineSegment(source, task.task, openWith);
  }
}

/** What reads buckets takes longer to load than a small archive to verify. */
async function sourceAt(place: Whereabouts): Promise<Source> {
  switch (place.kind) {
    case "folder":
      return folderSource(place.root);
    case "page":
      return openPageEvidence(place.file).source;
    case "bucket":
      return (await import("./bucket.ts")).bucketSource(place.url, place.options).source;
  }
}
