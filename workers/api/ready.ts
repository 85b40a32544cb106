/** Readiness: whether the recorder answers. Without it nothing passes, so a node that cannot reach it is not ready. */
import { Refusal } from "#durable/format/refusal.ts";
import type { Answer } from "#durable/format/tape.ts";

const PATIENCE_MS = 3_000;

/** Throws `Refusal("not_recorded")`. Any answer counts that is not the recorder's own inability to write. */
export async function ready(ask: () => Promise<Answer<unknown>>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in 3 s")), PATIENCE_MS);
  });
  try {
    const answer = await Promise.race([ask(), late]);
    if ("no" in answer) throw new Error(answer.no.message);
  } catch (cause) {
    throw unready(cause);
  } finally {
    clearTimeout(timer);
  }
}

const unready = (cause: unknown): Refusal =>
  new Refusal("not_recorded", "the recorder does not answer", { cause });
