/** What belongs to people: addresses, cards, accounts, and the numbers that states give them. */
import { parsePattern } from "../pattern/parse.ts";
import type { Rule } from "../rule.ts";
import { luhn, mod11of10, mod97, numbers, textOf, whole } from "./prove.ts";

type Prove = NonNullable<Rule["prove"]>;

function rule(detector: string, name: string, pattern: string, prove?: Prove): Rule {
  return { detector, name, severity: "medium", match: parsePattern(pattern), ...(prove && { prove }) };
}

/** RFC 5321 §4.1.2, of which what people use: dot-atoms, letters and digits, a domain with a dot. */
const EMAIL =
  "(?i)\\b[a-z0-9][a-z0-9._%+'-]*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.){1,8}[a-z][a-z0-9-]{1,23}\\b";

/** 13 to 19 digits that pass Luhn and begin as a network's do (ISO/IEC 7812), together or in the groups that are printed. */
const CARD =
  "\\b(?:[2-6]\\d{12,18}|[2-6]\\d{3}[ -]\\d{4}[ -]\\d{4}[ -]\\d{1,7}|3\\d{3}[ -]\\d{6}[ -]\\d{4,5})\\b";
const isCard = (digits: string) =>
  /^(?:4|5[0-9]|3[4-9]|6|2[2-7]|30)/.test(digits) && !/^(\d)\1+$/.test(digits) && luhn(digits);

/** Length of a country's IBAN (ISO 13616 registry). Others are taken by their check digits alone. */
const IBAN_LENGTHS: Readonly<Record<string, number>> = {
  AT: 20,
  BE: 16,
  CH: 21,
  CZ: 24,
  DE: 22,
  DK: 18,
  ES: 24,
  FI: 18,
  FR: 27,
  GB: 22,
  GR: 27,
  HU: 28,
  IE: 22,
  IT: 27,
  LU: 20,
  NL: 18,
  NO: 15,
  PL: 28,
  PT: 25,
  RO: 24,
  SE: 24,
  SK: 24,
  TR: 26,
};

/** The longest beginning that is an IBAN: what follows it, after a space, may look like more of it. */
const provenIban: Prove = (candidate) => {
  const text = textOf(candidate);
  for (let to = text.length; to >= 15; to--) {
    if (to < text.length && !/[\s-]/.test(text[to] ?? "")) continue;
    const iban = text.slice(0, to).replaceAll(/[\s-]/g, "").toUpperCase();
    const expected = IBAN_LENGTHS[iban.slice(0, 2)];
    if (iban.length >= 15 && (expected ?? iban.length) === iban.length && mod97(iban))
      return [{ from: 0, to }];
  }
  return [];
};

/** Area, group and serial that the SSA never gives out are left alone. */
const isSsn = (text: string) => !/^(?:000|666|9)|^...-00|0000$|^(?:123-45-6789|078-05-1120)$/.test(text);

/** One digit twice or three times among the first ten, none of the others more than once; then MOD 11,10. */
function isSteuerId(digits: string): boolean {
  const counts = new Map<string, number>();
  for (const char of digits.slice(0, 10)) counts.set(char, (counts.get(char) ?? 0) + 1);
  const repeated = [...counts.values()].filter((count) => count > 1);
  return digits[0] !== "0" && repeated.length === 1 && (repeated[0] ?? 0) <= 3 && mod11of10(digits);
}

/** 97 less the number modulo 97; Corsica's letters count as numbers (INSEE). */
function isNir(text: string): boolean {
  const plain = text.replaceAll(" ", "").toUpperCase().replace("2A", "19").replace("2B", "18");
  return 97 - Number(BigInt(plain.slice(0, 13)) % 97n) === Number(plain.slice(13));
}

const DNI = "TRWAGMYFPDXBNJZSQVHLCKE";
function isDni(text: string): boolean {
  const plain = text.replaceAll("-", "").toUpperCase();
  const number = plain.slice(0, -1).replace(/^[XYZ]/, (letter) => `${"XYZ".indexOf(letter)}`);
  return DNI[Number(number) % 23] === plain.at(-1);
}

const NINO_NEVER = /^(?:BG|GB|KN|NK|NT|TN|ZZ)/;

/** Odd and even places count differently (Decree of 23 December 1976). */
const ODD: readonly number[] = [
  1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
];
function isCodiceFiscale(text: string): boolean {
  const plain = text.toUpperCase();
  let sum = 0;
  for (let i = 0; i < 15; i++) {
    const char = plain[i] ?? "";
    const value = /\d/.test(char) ? Number(char) : char.charCodeAt(0) - 65;
    sum += i % 2 === 0 ? (ODD[value] ?? 0) : value;
  }
  return plain.charCodeAt(15) - 65 === sum % 26;
}

/** The eleven-test: digits weighed 9 to 2, the last by -1. */
function isBsn(digits: string): boolean {
  const sum = [...digits].reduce((total, digit, i) => total + Number(digit) * (i === 8 ? -1 : 9 - i), 0);
  return sum % 11 === 0 && !/^0+$/.test(digits);
}

export const PEOPLE: readonly Rule[] = [
  rule("email", "email", EMAIL),
  { ...rule("cards", "card", CARD, numbers(13, 19, isCard)), severity: "high" },
  {
    ...rule(
      "bank",
      "iban",
      "(?i)\\b[a-z]{2}\\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?\\b",
      provenIban,
    ),
    severity: "high",
  },
  { ...rule("ids", "us-ssn", "\\b\\d{3}-\\d{2}-\\d{4}\\b", whole(isSsn)), severity: "high" },
  rule(
    "ids",
    "de-steuer-id",
    "\\b\\d{2} ?\\d{3} ?\\d{3} ?\\d{3}\\b",
    whole((text) => isSteuerId(text.replaceAll(" ", ""))),
  ),
  rule(
    "ids",
    "fr-nir",
    "(?i)\\b[12] ?\\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\\d) ?(?:\\d{2}|2[ab]) ?\\d{3} ?\\d{3} ?\\d{2}\\b",
    whole(isNir),
  ),
  rule("ids", "es-dni", "(?i)\\b(?:\\d{8}|[xyz]-?\\d{7})-?[a-z]\\b", whole(isDni)),
  rule(
    "ids",
    "uk-nino",
    "\\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\\d{2} ?\\d{2} ?\\d{2} ?[A-D]\\b",
    whole((text) => !NINO_NEVER.test(text)),
  ),
  rule(
    "ids",
    "it-codice-fiscale",
    "(?i)\\b[a-z]{6}[0-9lmnp-v]{2}[abcdehlmprst][0-9lmnp-v]{2}[a-z][0-9lmnp-v]{3}[a-z]\\b",
    whole(isCodiceFiscale),
  ),
  {
    ...rule("ids", "nl-bsn", "\\b\\d{9}\\b", whole(isBsn)),
    before: parsePattern("(?i)\\b(?:bsn|burgerservicenummer)\\b[^a-z0-9\\n]{1,8}"),
  },
];
