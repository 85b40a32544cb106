/**
 * Server-sent events on their way (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each leaves when it is
 * whole; the pieces of a streamed text are looked into as one text, and what is held of it goes out in an event of the
 * same form before the event that ends it.
 */
import type { Mask } from "#durable/format/mask/finding.ts";
import type { Rules } from "../pattern/scan.ts";
import { type Delta, type Pieces, piecesOf } from "./deltas.ts";
import { escaped, Field, OtherLeaf, PieceLeaf, same } from "./field.ts";
import { JsonMasker, type Leaf } from "./json.ts";
import { type Masker, TextMasker } from "./masker.ts";
import { concat, encode, Out } from "./out.ts";
import { Template } from "./template.ts";

/** A longer event is no piece of a text: it is hidden in as it comes, and never held. */
const EVENT_MAX = 256 * 1024;
const FIELDS_MAX = 1_000;

const LF = 10;
const CR = 13;
const COLON = 0x3a;
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** A line with its end: `\n`, `\r\n` or `\r`. */
type Line = { readonly bytes: Uint8Array; readonly end: Uint8Array };

export class SseMasker implements Masker {
  readonly #rules: Rules;
  readonly #out = new Out();
  readonly #masks: Mask[] = [];
  readonly #fields = new Map<string, Field>();
  /** Lines of the event that is not whole yet, and of the line that is not. */
  #lines: Line[] = [];
  #line: Uint8Array[] = [];
  #size = 0;
  /** A line that ended in CR may go on with LF. */
  #return = false;
  /** The rest of a long event's line goes through this. */
  #through: Masker | undefined;
  #long = false;
  /** What the last event was like, when nothing but one piece of a text was looked into as more than it is. */
  #template: Template | undefined;
  /** The last line that is no data, and was as it should be. */
  #clean: Uint8Array = NOTHING;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  push(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    let at = 0;
    if (this.#return && bytes.byteLength > 0) {
      if (bytes[0] === LF) at = 1;
      this.#return = false;
      this.#endLine(Uint8Array.from(at === 1 ? [CR, LF] : [CR]));
    }
    while (at < bytes.byteLength) {
      let end = at;
      while (end < bytes.byteLength && bytes[end] !== LF && bytes[end] !== CR) end += 1;
      this.#part(bytes.subarray(at, end));
      if (end === bytes.byteLength) break;
      if (bytes[end] === LF) this.#endLine(Uint8Array.of(LF));
      else if (end + 1 === bytes.byteLength) {
        this.#return = true;
        break;
      } else if (bytes[end + 1] === LF) {
        end += 1;
        this.#endLine(Uint8Array.of(CR, LF));
      } else this.#endLine(Uint8Array.of(CR));
      at = end + 1;
    }
    return this.#out.take();
  }

  /** An event that was never ended counts too: nothing that came is lost. */
  end(): Uint8Array<ArrayBuffer> {
    if (this.#return) this.#endLine(Uint8Array.of(CR));
    this.#return = false;
    if (this.#long) this.#write(this.#through, undefined);
    else if (this.#size > 0 || this.#lines.length > 0) {
      if (this.#line.length > 0) this.#lines.push({ bytes: concat(this.#line), end: new Uint8Array(0) });
      this.#event();
    }
    this.#flush([""], LF_END);
    return this.#out.take();
  }

  masks(): Mask[] {
    return this.#masks.splice(0);
  }

  #part(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    if (this.#long) {
      this.#through ??= new TextMasker(this.#rules);
      this.#write(this.#through, bytes);
      return;
    }
    this.#line.push(bytes.slice());
    this.#size += bytes.byteLength;
    if (this.#size > EVENT_MAX) this.#letThrough();
  }

  #endLine(end: Uint8Array): void {
    if (this.#long) {
      const blank = this.#through === undefined;
      this.#write(this.#through, undefined);
      this.#through = undefined;
      this.#out.write(end);
      if (blank) this.#long = false;
      return;
    }
    const bytes = concat(this.#line);
    this.#line = [];
    if (bytes.byteLength > 0) {
      this.#lines.push({ bytes, end });
      return;
    }
    this.#event();
    this.#out.write(end);
  }

  /** What is held of a long event, then each of its lines as it comes. */
  #letThrough(): void {
    const lines = [...this.#lines, { bytes: concat(this.#line), end: undefined }];
    this.#lines = [];
    this.#line = [];
    this.#size = 0;
    this.#long = true;
    for (const { bytes, end } of lines) {
      const data = startsWith(bytes, "data:");
      this.#through = data ? new JsonMasker(this.#rules) : new TextMasker(this.#rules);
      if (data) this.#out.write(bytes.subarray(0, 5));
      this.#write(this.#through, data ? bytes.subarray(5) : bytes);
      if (!end) continue;
      this.#write(this.#through, undefined);
      this.#out.write(end);
    }
  }

  /** Writes what comes out of `masker` for the next bytes, or at the end. */
  #write(masker: Masker | undefined, bytes: Uint8Array | undefined): void {
    if (!masker) return;
    const at = this.#offsets.get(masker) ?? this.#out.length;
    this.#offsets.set(masker, at);
    this.#out.write(bytes ? masker.push(bytes) : masker.end());
    for (const mask of masker.masks()) this.#masks.push({ ...mask, off: at + mask.off });
  }
  /** Where in what comes out a masker began. */
  readonly #offsets = new WeakMap<Masker, number>();

  #event(): void {
    const lines = this.#lines;
    this.#lines = [];
    this.#size = 0;
    if (this.#repeats(lines)) return;
    this.#template = undefined;
    const data = lines.filter(({ bytes }) => isField(bytes, "data"));
    const [first, ...others] = data;
    const payload = concat([
      ...(first ? [contentOf(first.bytes)] : []),
      ...others.flatMap(({ bytes }) => [LF_END, contentOf(bytes)]),
    ]);
    const text = decoder.decode(payload);
    const pieces = data.length > 0 ? read(text) : undefined;
    const end = lines[0]?.end ?? LF_END;
    const deltas = new Map(pieces?.deltas.map((delta) => [delta.path, delta]));
    const ended = (field: string) => pieces?.ends.some((one) => field.startsWith(one)) ?? false;
    const own = new Set([...deltas.values()].map(({ field }) => field));
    this.#flush(pieces?.ends ?? (text.trim() === "[DONE]" ? [""] : []), end, own);
    let written: "not yet" | "as it was" | "anew" = "not yet";
    for (const line of lines) {
      if (!isField(line.bytes, "data")) this.#text(line);
      else if (written === "as it was") this.#raw(line);
      else if (written === "not yet") {
        const leaf = (path: string) => deltas.get(path);
        const { shown, masks, piece } = this.#payload(payload, pieces && leaf, ended);
        written = masks.length === 0 && same(shown, payload) ? "as it was" : "anew";
        if (written === "as it was") {
          this.#raw(line);
          const [only, ...rest] = deltas.values();
          if (only && piece && rest.length + others.length === 0 && pieces?.ends.length === 0) {
            const before = line.bytes.byteLength - payload.byteLength;
            this.#template = new Template(line.bytes, before + piece.from, before + piece.to, only);
          }
        } else {
          this.#out.write(line.bytes.subarray(0, line.bytes.byteLength - contentOf(line.bytes).byteLength));
          this.#writeLines(shown, masks, line.end);
        }
      }
    }
    for (const field of own) if (ended(field)) this.#fields.delete(field);
  }

  /** An event like the last but for a piece of the same text: only that is looked into. */
  #repeats(lines: readonly Line[]): boolean {
    const template = this.#template;
    const field = template && this.#fields.get(template.field);
    const [line, ...others] = lines.filter(({ bytes }) => isField(bytes, "data"));
    if (!field || !line || others.length > 0) return false;
    const piece = template.stringIn(line.bytes);
    if (!piece) return false;
    field.last = { payload: contentOf(line.bytes), path: template.path };
    for (const one of lines) {
      if (one !== line) {
        this.#text(one);
        continue;
      }
      this.#out.write(template.head);
      const shown = field.next(piece, false);
      this.#masks.push(...field.masks(shown, this.#out.length));
      this.#out.write(same(piece, shown) ? piece : escaped(shown));
      this.#out.write(template.tail);
      this.#out.write(line.end);
    }
    return true;
  }

  /** A comment, or another field: a text of its own. */
  #text({ bytes, end }: Line): void {
    if (same(bytes, this.#clean)) this.#out.write(bytes);
    else {
      const masker = new TextMasker(this.#rules);
      const before = this.#masks.length;
      this.#write(masker, bytes);
      this.#write(masker, undefined);
      this.#clean = this.#masks.length === before ? bytes : NOTHING;
    }
    this.#out.write(end);
  }

  #raw({ bytes, end }: Line): void {
    this.#out.write(bytes);
    this.#out.write(end);
  }

  #payload(
    payload: Uint8Array,
    delta: ((path: string) => Delta | undefined) | undefined,
    ended: (field: string) => boolean,
  ): { readonly shown: Uint8Array; readonly masks: readonly Mask[]; readonly piece: PieceLeaf | undefined } {
    const out = new Out();
    const masks: Mask[] = [];
    const made: PieceLeaf[] = [];
    const leaves = (path: string): Leaf | undefined => {
      const piece = delta?.(path);
      const field = piece && this.#field(piece, payload);
      if (!field) return undefined;
      const one = new PieceLeaf(field, ended(piece.field), out, masks);
      made.push(one);
      return one;
    };
    const masker = delta ? new JsonMasker(this.#rules, leaves, out) : new TextMasker(this.#rules);
    const shown = concat([masker.push(payload), masker.end()]);
    return { shown, masks: [...masks, ...masker.masks()], piece: made.length === 1 ? made[0] : undefined };
  }

  #field({ field, path, as }: Delta, payload: Uint8Array): Field | undefined {
    const known = this.#fields.get(field);
    const last = { payload, path };
    if (known) {
      known.last = last;
      return known;
    }
    if (this.#fields.size >= FIELDS_MAX) return undefined;
    const masker = as === "json" ? new JsonMasker(this.#rules) : new TextMasker(this.#rules);
    const made = new Field(masker, last);
    this.#fields.set(field, made);
    return made;
  }

  /** A payload of several lines is written as such: `data:` before each. */
  #writeLines(shown: Uint8Array, masks: readonly Mask[], end: Uint8Array): void {
    const at = this.#out.length;
    let start = 0;
    const added: number[] = [];
    for (let i = shown.indexOf(LF); i >= 0; i = shown.indexOf(LF, start)) {
      this.#out.write(shown.subarray(start, i));
      this.#out.write(end);
      this.#out.write(encode("data: "));
      start = i + 1;
      added.push(i);
    }
    this.#out.write(shown.subarray(start));
    this.#out.write(end);
    const more = end.byteLength + 5;
    for (const mask of masks)
      this.#masks.push({ ...mask, off: at + mask.off + added.filter((i) => i < mask.off).length * more });
  }

  /** What is held of the fields that end, each in an event like its last, before the event that ends it. */
  #flush(ends: readonly string[], end: Uint8Array, except: ReadonlySet<string> = new Set()): void {
    for (const [name, field] of this.#fields) {
      if (except.has(name) || !ends.some((one) => name.startsWith(one))) continue;
      this.#fields.delete(name);
      const shown = field.next(new Uint8Array(0), true);
      if (shown.byteLength > 0) this.#carry(field, shown, end);
      else this.#masks.push(...field.masks(shown, this.#out.length));
    }
  }

  #carry(field: Field, shown: Uint8Array, end: Uint8Array): void {
    const { payload, path } = field.last;
    const event: unknown = JSON.parse(decoder.decode(payload));
    const { type } = event as { readonly type?: unknown };
    const deltas = new Set(piecesOf(event).deltas.map((delta) => delta.path));
    const out = new Out();
    const masks: Mask[] = [];
    const leaves = (at: string): Leaf | undefined =>
      deltas.has(at)
        ? new OtherLeaf(() => {
            if (at !== path) return;
            masks.push(...field.masks(shown, out.length));
            out.write(escaped(shown));
          })
        : undefined;
    const masker = new JsonMasker(this.#rules, leaves, out);
    const bytes = concat([masker.push(payload), masker.end()]);
    if (typeof type === "string") this.#out.write(concat([encode(`event: ${type}`), end]));
    this.#out.write(encode("data: "));
    // What is hidden in the rest of it was told with the event it is like.
    this.#writeLines(bytes, masks, end);
    this.#out.write(end);
  }
}

const NOTHING = new Uint8Array(0);
const LF_END = Uint8Array.of(LF);

function read(text: string): Pieces | undefined {
  try {
    return piecesOf(JSON.parse(text));
  } catch {
    // Not JSON: such data is text.
    return undefined;
  }
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}

const isField = (bytes: Uint8Array, name: string): boolean =>
  startsWith(bytes, name) && (bytes.byteLength === name.length || bytes[name.length] === COLON);

/** What stands behind the colon, less one space. */
function contentOf(bytes: Uint8Array): Uint8Array {
  const colon = bytes.indexOf(COLON);
  if (colon < 0) return new Uint8Array(0);
  return bytes.subarray(bytes[colon + 1] === 0x20 ? colon + 2 : colon + 1);
}
