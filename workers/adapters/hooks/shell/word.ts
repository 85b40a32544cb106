/** Words of a command line: whether they are known before the command runs, and what braces make of them. */
import type { Word, WordPart } from "unbash";

/** Words that one word may become by its braces. */
const BRACES_MAX = 200;

/** Whether the word is what it says: nothing in it is expanded when the command runs. */
export const isLiteral = ({ parts = [] }: Word): boolean => parts.every(isLiteralPart);

function isLiteralPart(part: WordPart): boolean {
  switch (part.type) {
    case "Literal":
    case "SingleQuoted":
    case "AnsiCQuoted":
      return true;
    case "DoubleQuoted":
    case "LocaleString":
      return part.parts.every(isLiteralPart);
    case "Glob":
    case "SimpleExpansion":
    case "ParameterExpansion":
    case "CommandExpansion":
    case "ArithmeticExpansion":
    case "ProcessSubstitution":
    case "ExtendedGlob":
    case "BraceExpansion":
      return false;
  }
}

/** Without its quotes; with braces (`{rm,-rf}`) also what they become. What is expanded in it stands there as it is written. */
export function alternatives(word: Word): readonly string[] {
  if (!word.parts?.some(({ type }) => type === "BraceExpansion")) return [word.value];
  const made = new Set<string>();
  const open = [word.value];
  for (let text = open.pop(); text !== undefined && made.size < BRACES_MAX; text = open.pop()) {
    const [, before = "", inner, after = ""] = /^(.*?)\{([^{}]*,[^{}]*)\}(.*)$/s.exec(text) ?? [];
    if (inner === undefined) made.add(text);
    else if (open.length < BRACES_MAX)
      open.push(
        ...inner
          .split(",")
          .map((one) => `${before}${one}${after}`)
          .toReversed(),
      );
  }
  return [...made];
}
