/** What a server advertises, less what would lead a client past the gateway or speak a dialect that is not decoded here. */
import { Refusal } from "#durable/format/refusal.ts";
import { byteStream } from "#workers/wire/byte-stream.ts";
import { concat, FLUSH, lineOf, PACKET_MAX, type Packet, PacketReader, packet } from "./pkt-line.ts";

/** A v2 advertisement is a dozen lines; this is a hundred times that. */
export const ADVERTISEMENT_MAX = 1024 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * The v2 capabilities a client may know of. Left out with everything not listed: `bundle-uri` and `promisor-remote`,
 * which name other servers, and `object-info`. What is not advertised, git does not use.
 */
const CAPABILITIES = new Set(["agent", "ls-refs", "fetch", "server-option", "object-format", "session-id"]);
/** The features of `fetch`. Left out: `packfile-uris`. */
const FETCH_FEATURES = new Set(["shallow", "filter", "ref-in-want", "sideband-all", "wait-for-done"]);

/**
 * The same advertisement as the client may see it. v2 is read whole (at most `ADVERTISEMENT_MAX`) and stripped; v0 and v1
 * name no other server and stream through untouched, however long.
 */
export async function stripAdvertisement(
  body: ReadableStream<Uint8Array>,
): Promise<
  | { readonly kind: "v2"; readonly bytes: Bytes }
  | { readonly kind: "v0"; readonly stream: ReadableStream<Uint8Array> }
> {
  const reader = body.getReader();
  const packets = new PacketReader("upstream_protocol");
  const chunks: Uint8Array[] = [];
  let size = 0;
  let version: "v0" | "v2" | undefined;
  const read: Packet[] = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.byteLength;
    packets.feed(value);
    for (let next = packets.next(); next; next = packets.next()) {
      read.push(next);
      version ??= versionOf(read);
      if (version === "v0") return { kind: "v0", stream: resumed(chunks, reader) };
    }
    if (size > ADVERTISEMENT_MAX) {
      await reader.cancel();
      throw new Refusal("upstream_protocol", "The git server's advertisement is too long.");
    }
  }
  return { kind: "v2", bytes: strippedAll(read, packets) };
}

/** The same of an advertisement that is here as a whole; undefined when it may pass as it is. */
export function stripWhole(bytes: Uint8Array): Bytes | undefined {
  const packets = new PacketReader("upstream_protocol");
  packets.feed(bytes);
  const read: Packet[] = [];
  for (let next = packets.next(); next; next = packets.next()) {
    read.push(next);
    if (versionOf(read) === "v0") return undefined;
  }
  return strippedAll(read, packets);
}

/** The capability by which a server asks for packs that hold everything they build on. */
const NO_THIN = "no-thin";
/** `# service=…`, a flush and `version 1` come before the first ref at most. */
const BEFORE_REFS = 4;

/**
 * A receive-pack advertisement that asks for self-contained packs as well, and how many bytes longer it is. The list of
 * refs streams through. Without capabilities, as of a server that refuses, it is left as it is.
 */
export async function askForWholePacks(
  body: ReadableStream<Uint8Array>,
): Promise<{ readonly stream: ReadableStream<Uint8Array>; readonly added: number }> {
  const reader = body.getReader();
  const packets = new PacketReader("upstream_protocol");
  const chunks: Uint8Array[] = [];
  const read: Packet[] = [];
  while (read.length < BEFORE_REFS) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
    packets.feed(value);
    for (let next = packets.next(); next && read.length < BEFORE_REFS; next = packets.next()) {
      const payload = next.kind === "data" ? withNoThin(next.payload) : undefined;
      if (payload) {
        const begun = concat([...read.map(written), packet(payload), packets.rest()]);
        const added = next.kind === "data" ? payload.byteLength - next.payload.byteLength : 0;
        return { stream: resumed([begun], reader), added };
      }
      read.push(next);
    }
  }
  return { stream: resumed(chunks, reader), added: 0 };
}

/** The first ref's line, which names the capabilities, with one more; undefined for any other, and where it has no room. */
function withNoThin(payload: Uint8Array): Uint8Array | undefined {
  const nul = payload.indexOf(0);
  if (nul < 0) return undefined;
  const line = payload.at(-1) === 10 ? payload.subarray(0, -1) : payload;
  const known = new TextDecoder().decode(line.subarray(nul + 1)).split(" ");
  const added = known.includes(NO_THIN) ? "" : ` ${NO_THIN}`;
  const longer = concat([line, new TextEncoder().encode(`${added}\n`)]);
  return longer.byteLength + 4 > PACKET_MAX ? undefined : longer;
}

function written(item: Packet): Bytes {
  switch (item.kind) {
    case "data":
      return packet(item.payload);
    case "flush":
      return FLUSH;
    case "delim":
    case "response-end":
      throw new Refusal("upstream_protocol", "The git server's answer is not an advertisement.");
  }
}

/** Of a v2 advertisement that was read to its end. */
function strippedAll(read: readonly Packet[], packets: PacketReader): Bytes {
  if (versionOf(read) !== "v2" || packets.rest().byteLength > 0 || read.at(-1)?.kind !== "flush") {
    throw new Refusal("upstream_protocol", "The git server's answer is not an advertisement.");
  }
  return concat(read.map(stripped));
}

/** Undecided while all that was read is the `# service=…` line and its flush, which some servers send before v2 too. */
function versionOf(read: readonly Packet[]): "v0" | "v2" | undefined {
  const [first, second, third] = read;
  if (first?.kind !== "data") return "v0";
  if (begins(first.payload, "version 2")) return "v2";
  if (!begins(first.payload, "# service=")) return "v0";
  if (second === undefined || (second.kind === "flush" && third === undefined)) return undefined;
  return third?.kind === "data" && begins(third.payload, "version 2") ? "v2" : "v0";
}

function begins(payload: Uint8Array, word: string): boolean {
  return new TextDecoder().decode(payload.subarray(0, word.length)) === word;
}

/** One packet as it may pass, or nothing. */
function stripped(item: Packet): Bytes {
  if (item.kind === "flush") return FLUSH;
  if (item.kind !== "data")
    throw new Refusal("upstream_protocol", "The git server's answer is not an advertisement.");
  const line = lineOf(item.payload, "upstream_protocol");
  if (line === "version 2" || line.startsWith("# service=") || line.startsWith("ERR "))
    return packet(item.payload);
  const [name = "", ...values] = line.split("=");
  if (!CAPABILITIES.has(name)) return new Uint8Array(0);
  if (name !== "fetch") return packet(item.payload);
  const features = values
    .join("=")
    .split(" ")
    .filter((feature) => FETCH_FEATURES.has(feature));
  return packet(features.length > 0 ? `fetch=${features.join(" ")}\n` : "fetch\n");
}

/** What was read, then the rest; the server is read only as the client takes it. */
function resumed(
  chunks: readonly Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  const held = [...chunks];
  const next = async (): Promise<Uint8Array | undefined> => held.shift() ?? (await reader.read()).value;
  return byteStream(next, (reason) => reader.cancel(reason));
}
