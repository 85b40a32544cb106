/** What a client asks of git-receive-pack: ref update commands and push options (gitprotocol-pack(5)), then a pack. */
import { Refusal } from "#durable/format/refusal.ts";
import { type Command, isRefName, isZero } from "./history/ref-update.ts";
import type { ObjectFormat } from "./pack/bytes.ts";
import { lineOf, readPacket, textOf } from "./pkt-line.ts";

export type Push = {
  readonly commands: readonly Command[];
  readonly capabilities: readonly string[];
  readonly options: readonly string[];
  readonly format: ObjectFormat;
  /** Where the pack begins in the bytes given, or undefined when nothing but deletions is asked. */
  readonly packAt: number | undefined;
};

type Bytes = Uint8Array<ArrayBuffer>;

export const COMMANDS_MAX = 10_000;
const OPTIONS_MAX = 1_000;
const SHALLOW_MAX = 100_000;
/** Policy is asked about each ref with all options and capabilities of the push: so many letters in all. */
const ASKED_MAX = 16 * 1024 * 1024;

const COMMAND = /^([0-9a-f]+) ([0-9a-f]+) (.+)$/s;
const SHALLOW = /^shallow [0-9a-f]+$/;
const PACK = "PACK";

/** Decodes the beginning of a POST body, already inflated; `ended` when it is all of it. */
export function decodePush(bytes: Bytes, ended: boolean): Push {
  const head = new Section(bytes, ended);
  const commands: Command[] = [];
  let capabilities: readonly string[] = [];
  let shallow = 0;
  for (let payload = head.next(); payload; payload = head.next()) {
    const split = commands.length === 0 ? payload.indexOf(0) : -1;
    const line = lineOf(split < 0 ? payload : payload.subarray(0, split));
    if (commands.length === 0 && SHALLOW.test(line)) {
      shallow += 1;
      if (shallow > SHALLOW_MAX) throw new Refusal("too_large", "The push names too many shallow commits.");
      continue;
    }
    if (line === "push-cert" || line.startsWith("push-cert ")) throw signed();
    if (split >= 0) capabilities = wordsOf(textOf(payload.subarray(split + 1)));
    commands.push(commandOf(line));
    if (commands.length > COMMANDS_MAX)
      throw new Refusal("too_large", `A push of more than ${COMMANDS_MAX} refs.`);
  }
  const format = formatOf(capabilities);
  checkCommands(commands, format);
  const options = capabilities.includes("push-options") ? optionsOf(head) : [];
  const around = [...capabilities, ...options].reduce((sum, word) => sum + word.length, 0);
  if (around * commands.length > ASKED_MAX)
    throw new Refusal("too_large", "The push has too many refs for options as long as these.");
  return { commands, capabilities, options, format, packAt: packAt(bytes, head.at, ended, commands) };
}

/** Data packets up to a flush. Ends in a refusal, never in a guess, when they do not fit what was given. */
class Section {
  readonly #bytes: Bytes;
  readonly #ended: boolean;
  at = 0;

  constructor(bytes: Bytes, ended: boolean) {
    this.#bytes = bytes;
    this.#ended = ended;
  }

  next(): Bytes | undefined {
    const read = readPacket(this.#bytes, this.at);
    if (!read && this.#ended) throw new Refusal("malformed", "The push ends before its commands do.");
    if (!read) throw new Refusal("too_large", "The push has too many commands.");
    this.at = read.end;
    if (read.packet.kind === "data") return read.packet.payload;
    if (read.packet.kind === "flush") return undefined;
    throw new Refusal("malformed", "The push has a mark where a command belongs.");
  }
}

function commandOf(line: string): Command {
  const [, old, next, ref] = COMMAND.exec(line) ?? [];
  if (old === undefined || next === undefined || ref === undefined) {
    throw new Refusal("malformed", "The push has a line that is no command.");
  }
  return { ref, old, new: next };
}

function checkCommands(commands: readonly Command[], format: ObjectFormat): void {
  if (commands.length === 0) throw new Refusal("malformed", "The push has no commands.");
  const digits = format === "sha1" ? 40 : 64;
  const seen = new Set<string>();
  for (const { ref, old, new: next } of commands) {
    if (old.length !== digits || next.length !== digits) {
      throw new Refusal("malformed", `The push has object ids that are not ${format}.`);
    }
    if (isZero(old) && isZero(next))
      throw new Refusal("malformed", "The push has a command that changes nothing.");
    if (!isRefName(ref, isZero(next)))
      throw new Refusal("malformed", "The push has a ref whose name git does not allow.");
    if (seen.has(ref)) throw new Refusal("malformed", "The push changes one ref twice.");
    seen.add(ref);
  }
}

function optionsOf(section: Section): readonly string[] {
  const options: string[] = [];
  for (let payload = section.next(); payload; payload = section.next()) {
    options.push(lineOf(payload));
    if (options.length > OPTIONS_MAX) throw new Refusal("too_large", "The push has too many options.");
  }
  return options;
}

/** A push that only deletes has no pack, and any other must have one: what comes here is decided by the commands. */
function packAt(bytes: Bytes, at: number, ended: boolean, commands: readonly Command[]): number | undefined {
  if (commands.every((command) => isZero(command.new))) {
    if (!ended || at < bytes.byteLength)
      throw new Refusal("malformed", "Something follows a push that only deletes.");
    return undefined;
  }
  const magic = String.fromCharCode(...bytes.subarray(at, at + PACK.length));
  const missing = magic.length < PACK.length ? ended || !PACK.startsWith(magic) : magic !== PACK;
  if (missing) throw new Refusal("malformed", "The push has no pack after its commands.");
  return at;
}

function formatOf(capabilities: readonly string[]): ObjectFormat {
  const named = capabilities.filter((capability) => capability.startsWith("object-format="));
  const format = named.length > 1 ? "" : (named[0]?.slice("object-format=".length) ?? "sha1");
  if (format !== "sha1" && format !== "sha256")
    throw new Refusal("malformed", "The push has an unknown object format.");
  return format;
}

const wordsOf = (text: string): readonly string[] => text.trim().split(/\s+/).filter(Boolean);

const signed = () =>
  new Refusal(
    "malformed",
    "Signed pushes do not pass this gateway: push without --signed. Signed commits and tags do.",
  );
