// What the disk takes to keep a few kilobytes, on the file system that the nodes of the bench write to.
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds of each of `times` appends of 4 KiB with their fdatasync, as a write-ahead log makes them. */
export async function timeFsync(directory: string, times: number): Promise<number[]> {
  const path = join(directory, "fsync");
  const file = openSync(path, "a");
  const page = Buffer.alloc(4096, 1);
  const took: number[] = [];
  try {
    for (let n = 0; n < times; n++) {
      const began = performance.now();
      writeSync(file, page);
      fdatasyncSync(file);
      took.push(performance.now() - began);
      await sleep(1);
    }
  } finally {
    closeSync(file);
    rmSync(path);
  }
  return took;
}
