/** Recorded text for people to read: whoever wrote it can neither hide a letter nor turn the text around it. */
import { el } from "./element.ts";

/**
 * What is not seen, or moves what is: controls, formats (the bidirectional ones among them), line separators, what a
 * font may leave out, halves of surrogates, and letters that mean something only to a private font.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Default_Ignorable_Code_Point}]/u;
const EACH = new RegExp(UNSEEN.source, "gu");

/** One line or `lines` of text, each unseen character as its code point; isolated from the direction of what is around it. */
export function shown(text: string, how: "line" | "lines" = "line"): HTMLElement {
  const whole = el(how === "line" ? "bdi" : "div", { class: how === "line" ? "said" : "said lines" });
  let from = 0;
  for (const match of text.matchAll(EACH)) {
    const [letter] = match;
    if (how === "lines" && (letter === "\n" || letter === "\t")) continue;
    if (match.index > from) whole.append(text.slice(from, match.index));
    whole.append(el("span", { class: "unseen" }, escaped(letter)));
    from = match.index + letter.length;
  }
  whole.append(text.slice(from));
  return whole;
}

/** For titles and such, where there is only text. */
export const plain = (text: string): string => text.replace(EACH, escaped);

const escaped = (letter: string): string =>
  `\u27e8U+${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`;

export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kibibytes = bytes / 1024;
  return kibibytes < 1024 ? `${kibibytes.toFixed(1)} KiB` : `${(kibibytes / 1024).toFixed(1)} MiB`;
}

export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
