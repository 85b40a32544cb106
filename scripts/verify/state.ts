/** What an auditor keeps of a log between two looks at it: the newest checkpoint that was found sound. */
import { readFile, rename, writeFile } from "node:fs/promises";
import * as v from "valibot";
import type { LogState } from "#durable/proof/verify/log/tree.ts";

const State = v.strictObject({
  origin: v.pipe(v.string(), v.minLength(1)),
  size: v.pipe(v.number(), v.integer(), v.minValue(0)),
  rootHash: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{43}=$/, "a base64 SHA-256")),
});

/** Undefined when there is no such file yet: it is the first look. */
export async function readState(path: string): Promise<LogState | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new Error(`${path} cannot be read`, { cause });
  }
  try {
    return v.parse(State, JSON.parse(text));
  } catch (cause) {
    throw new Error(`${path} does not hold what an earlier verify has kept in it`, { cause });
  }
}

/** Whole or not at all: the next look depends on it. */
export async function keepState(path: string, { origin, size, rootHash }: LogState): Promise<void> {
  const next = `${path}.${process.pid}.new`;
  await writeFile(next, `${JSON.stringify({ origin, size, rootHash })}\n`);
  await rename(next, path);
}
