/** A request, and the head of an answer, as their session writes them down: frames, and a body as far as it is known. */
import { type Frame, fitsLine } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import type { RequestTape, ResponseTape } from "#durable/format/tape.ts";
import type { FrameWriter } from "#durable/store/frame-writer.ts";
import type { SessionTape } from "../session-tape.ts";

/** In order, around the body; undefined when one of them is too long for the record. */
export function begunFrames({
  x,
  connection,
  operation,
  method,
  path,
  headers,
  content,
  decision,
}: RequestTape): { readonly before: readonly Frame[]; readonly after: readonly Frame[] } | undefined {
  const before: Frame[] = [{ k: "request", x, connection, operation, method, path, headers }, ...content];
  const after: Frame[] = decision ? [{ k: "decision", x, ...decision }] : [];
  return [...before, ...after].every(fitsLine) ? { before, after } : undefined;
}

/** What waits for approval is kept as spooled bodies are, to be sent from here; what is refused ends at once. */
export function writeBegun(
  tape: SessionTape,
  writer: FrameWriter,
  { x, connection, method, path, body, bodies, decision }: RequestTape,
  { before, after }: { readonly before: readonly Frame[]; readonly after: readonly Frame[] },
): void {
  const live = tape.begin(x, bodies);
  const target = { connection, method, path };
  const held = decision?.verdict === "hold";
  if (held) live.held = { ...target, seen: 0 };
  if (body.kind === "spooled" || (held && body.kind === "whole")) live.spooled = target;
  for (const frame of before) writer.write(frame);
  switch (body.kind) {
    case "none":
      tape.noBody(x, "c2s");
      break;
    case "whole":
      if (held) tape.spool(x, 0, body.bytes);
      else tape.data(x, "c2s", 0, body.bytes, decision?.verdict === "allow" ? "complete" : "refused");
      break;
    case "stream":
      tape.data(x, "c2s", 0, body.prefix);
      break;
    case "spooled":
      break;
  }
  for (const frame of after) writer.write(frame);
}

/** The head of an answer with what it contains; undefined when that is too long for the record. */
export function answerFrames(
  x: ExchangeId,
  { status, headers, refusal, content = [] }: ResponseTape,
): readonly Frame[] | undefined {
  const frames: Frame[] = [{ k: "response", x, status, headers, ...(refusal && { refusal }) }, ...content];
  return frames.every(fitsLine) ? frames : undefined;
}
