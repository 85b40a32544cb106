/** One body: as text where it is text, else in hexadecimal; a piece at a time; and saved as it passed. */
import { readUtf8 } from "#durable/proof/bytes.ts";
import { type Body, bodyBytes, bodyLength } from "#durable/proof/replay/replay.ts";
import { gunzipSync } from "../node/zlib.ts";
import { el, put } from "./element.ts";
import { shown, size } from "./text.ts";

/** How much is shown at first, and with each "more". */
const PIECE = 16 * 1024;
const MORE = 128 * 1024;
const INFLATED_MAX = 32 * 1024 * 1024;

type Reading = { readonly name: string; readonly bytes: Uint8Array; readonly as: "text" | "hex" };

/** `name` is what a saved file is called: it is ours, never the recording's. */
export function bodyView(title: string, body: Body, gzip: boolean, name: string): HTMLElement {
  const length = bodyLength(body);
  const end = body.end === undefined ? "" : body.end === "complete" ? "" : `, ${body.end}`;
  const head = el("h4", {}, title, el("span", { class: "quiet" }, ` ${size(length)}${end}`));
  if (length === 0) return el("section", { class: "body" }, head);
  const bytes = bodyBytes(body);
  if (!bytes) return el("section", { class: "body" }, head, notKept(body));
  const readings = readingsOf(bytes, gzip);
  const into = el("div", { class: "bytes" });
  const buttons = readings.map((reading) =>
    el(
      "button",
      { type: "button", "aria-pressed": "false", on: { click: () => show(reading) } },
      reading.name,
    ),
  );
  const show = (reading: Reading) => {
    for (const [i, button] of buttons.entries())
      button.setAttribute("aria-pressed", String(readings[i] === reading));
    into.replaceChildren();
    showPiece(into, reading, 0, PIECE);
  };
  const save = el("button", { type: "button", on: { click: () => saveAs(name, bytes) } }, "Save");
  const [first] = readings;
  if (first) show(first);
  return el(
    "section",
    { class: "body" },
    el("div", { class: "bar" }, head, el("span", {}, buttons, save)),
    into,
  );
}

function notKept({ parts }: Body): HTMLElement {
  const rows = parts.map(({ off, length, bytes, digest }) =>
    el(
      "li",
      {},
      `${length} bytes at ${off}: `,
      bytes
        ? "kept"
        : digest
          ? ["only their digest was kept, ", el("code", {}, digest)]
          : "not readable as sealed",
    ),
  );
  return el("ul", { class: "plain" }, rows);
}

function readingsOf(bytes: Uint8Array, gzip: boolean): Reading[] {
  const text = readUtf8(bytes);
  const hex: Reading = { name: "Hex", bytes, as: "hex" };
  const inflated = gzip ? gunzip(bytes) : undefined;
  return [
    ...(inflated ? [{ name: "Unzipped", bytes: inflated, as: "text" } as const] : []),
    ...(text === undefined || text.includes("\0")
      ? [hex, { name: "Text", bytes, as: "text" } as const]
      : [{ name: "Text", bytes, as: "text" } as const, hex]),
  ];
}

function gunzip(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return gunzipSync(bytes, { maxOutputLength: INFLATED_MAX });
  } catch {
    // It is shown as it passed, then.
    return undefined;
  }
}

/** Not fatal: what is no UTF-8 shows as U+FFFD, and the hexadecimal reading has the bytes. */
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

function showPiece(into: HTMLElement, reading: Reading, from: number, most: number): void {
  const { bytes, as } = reading;
  const to = as === "text" ? characterEnd(bytes, from + most) : Math.min(from + most, bytes.byteLength);
  const piece = bytes.subarray(from, to);
  put(into, [as === "text" ? shown(lenient.decode(piece), "lines") : el("pre", {}, hexLines(piece, from))]);
  if (to >= bytes.byteLength) return;
  const more = el(
    "button",
    {
      type: "button",
      class: "more",
      on: {
        click: () => {
          more.remove();
          showPiece(into, reading, to, MORE);
        },
      },
    },
    `${size(bytes.byteLength - to)} more`,
  );
  into.append(more);
}

function characterEnd(bytes: Uint8Array, end: number): number {
  let at = Math.min(end, bytes.byteLength);
  for (let back = 0; back < 3 && at < bytes.byteLength && ((bytes[at] ?? 0) & 0xc0) === 0x80; back++) at -= 1;
  return at;
}

function hexLines(bytes: Uint8Array, from: number): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.byteLength; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = row
      .map((byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : "."))
      .join("");
    lines.push(`${(from + at).toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${letters}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Hands bytes to the browser as a file. Nothing opens them: their type says nothing. */
export function saveAs(name: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes.slice()], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.download = name;
  link.href = url;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
