/** Asks an analyzer that speaks Microsoft Presidio's REST API (`POST /analyze`). The network is an argument: egress has it. */
import * as v from "valibot";
import { Refusal } from "#durable/format/refusal.ts";
import type { Recognised } from "#workers/contract/analyzer.ts";
import type { EgressSettings } from "#workers/contract/settings.ts";

/** Bytes of an answer: some 100 for each entity. */
const ANSWER_MAX = 4 * 1024 * 1024;

type Fetching = { fetch(url: string, init?: RequestInit): Promise<Response> };
type Settings = NonNullable<EgressSettings["presidio"]>;

const index = v.pipe(v.number(), v.integer(), v.minValue(0));
const Result = v.array(v.object({ entity_type: v.string(), start: index, end: index, score: v.number() }));

/** Offsets are code points: Presidio's are of Python's strings. Throws `Refusal("policy_unavailable")` with a sentence for the operator. */
export async function askPresidio(
  fetcher: Fetching,
  { url, language, entities, score, timeoutSeconds }: Settings,
  text: string,
): Promise<readonly Recognised[]> {
  const signal = AbortSignal.timeout(timeoutSeconds * 1000);
  const asked = { text, language, score_threshold: score, ...(entities.length > 0 && { entities }) };
  const answer = await read(fetcher, `${url}/analyze`, JSON.stringify(asked), signal);
  const parsed = v.safeParse(Result, answer);
  if (!parsed.success) throw unusable(`${url} answers what is no list of entities`);
  const length = [...text].length;
  if (parsed.output.some(({ start, end }) => start > end || end > length))
    throw unusable(`${url} names places that the text does not have`);
  return parsed.output
    .filter((one) => one.score >= score)
    .map(({ entity_type: entity, start, end }) => ({ entity, start, end }));
}

async function read(fetcher: Fetching, url: string, body: string, signal: AbortSignal): Promise<unknown> {
  try {
    const headers = { "content-type": "application/json", accept: "application/json" };
    const response = await fetcher.fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw unusable(`${url} answered ${response.status || "with a redirect"}, not 200`);
    }
    return JSON.parse(await readText(response, url, signal));
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    throw unusable(signal.aborted ? `${url} took too long` : `${url} cannot be read`, cause);
  }
}

async function readText({ body }: Response, url: string, signal: AbortSignal): Promise<string> {
  const reader = body?.getReader();
  if (!reader) return "";
  // The signal ends the fetch, not in every runtime a body that stalls.
  const stop = () => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let text = "";
  let size = 0;
  for (;;) {
    const { value, done } = await reader.read();
    signal.throwIfAborted();
    if (done) break;
    size += value.byteLength;
    if (size > ANSWER_MAX) {
      stop();
      throw unusable(`${url} answers more than ${ANSWER_MAX} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
  signal.removeEventListener("abort", stop);
  return text + decoder.decode();
}

const unusable = (sentence: string, cause?: unknown): Refusal =>
  new Refusal("policy_unavailable", `the analyzer ${sentence}`, cause === undefined ? {} : { cause });
