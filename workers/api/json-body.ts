/** A request's JSON body: small, in time, and then parsed. */
import { Refusal } from "#durable/format/refusal.ts";

const BODY_MAX = 4096;

/** Undefined when there is none. Throws a Refusal. */
export async function jsonBody(request: Request, patienceMs: number): Promise<unknown> {
  const text = await bounded(request, patienceMs);
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed("the body is not JSON", cause);
  }
}

/** The runtime waits for a stalled body for ever, so this does not. */
async function bounded(request: Request, patienceMs: number): Promise<string> {
  const reader = request.body?.getReader();
  if (!reader) return "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(malformed("the body did not come in time")), patienceMs);
  });
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for (;;) {
      const { value, done } = await Promise.race([reader.read(), late]);
      if (done) return await new Blob(parts).text();
      size += value.byteLength;
      if (size > BODY_MAX) throw new Refusal("too_large", `the body has more than ${BODY_MAX} bytes`);
      parts.push(new Uint8Array(value));
    }
  } catch (cause) {
    void reader.cancel(cause).catch(() => undefined);
    throw cause;
  } finally {
    clearTimeout(timer);
  }
}

const malformed = (sentence: string, cause?: unknown): Refusal =>
  new Refusal("malformed", sentence, { cause });
