/** One deadline over everything a call to the store does, reading its answer included. */
import { ArchiveConflict, ArchiveFault } from "./archive.ts";

/**
 * Runs `work` and throws what the port promises: `ArchiveConflict` as it is, anything else as an `ArchiveFault` that
 * names `what` and keeps the cause. The signal fires after `ms`; work must give up then.
 */
export async function within<T>(
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`not done within ${ms} ms`)), ms);
  try {
    return await work(controller.signal);
  } catch (cause) {
    if (cause instanceof ArchiveConflict || cause instanceof ArchiveFault) throw cause;
    const why = controller.signal.aborted ? `not done within ${ms} ms` : String(cause);
    throw new ArchiveFault(`${what}: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects when the signal fires: for what does not notice by itself that it was given up. */
export const expiry = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

/** What was thrown and what caused it, each once. */
export function causesOf(thrown: unknown): string {
  let text = thrown instanceof Error ? thrown.message : String(thrown);
  for (let at = thrown; at instanceof Error; at = at.cause)
    if (!text.includes(at.message)) text += `: ${at.message}`;
  return text;
}

/** Chunks of a body until its end; rejects when the signal fires, also when the stream itself does not notice. */
export async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  let ended = false;
  let giveUp = () => {};
  const late = new Promise<never>((_resolve, reject) => {
    giveUp = () => reject(signal.reason);
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
  });
  // Raced below; without this a signal that fires after the last chunk would be an unhandled rejection.
  late.catch(() => {});
  try {
    while (!ended) {
      const { done, value } = await Promise.race([reader.read(), late]);
      ended = done;
      if (value) yield value;
    }
  } finally {
    signal.removeEventListener("abort", giveUp);
    // Best effort: the call already has its result or its error, and a broken stream cannot be cancelled.
    if (!ended) reader.cancel().catch(() => {});
  }
}

/** A whole body of a length that was announced. A body that is shorter or longer throws. */
export async function collect(
  body: ReadableStream<Uint8Array>,
  length: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const chunk of chunksOf(body, signal)) {
    if (at + chunk.length > length) throw new Error(`more than the ${length} bytes announced`);
    bytes.set(chunk, at);
    at += chunk.length;
  }
  if (at < length) throw new Error(`${at} of the ${length} bytes announced`);
  return bytes;
}
