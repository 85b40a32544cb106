/** The two verdicts, whose key they rest on, and the findings: first of all that a file cannot vouch for itself. */
import type { Finding } from "#durable/proof/finding.ts";
import type { Examined } from "../examine.ts";
import { fingerprint, type HeldKeys, readHeld } from "../held-key.ts";
import { el } from "./element.ts";
import { count, shown } from "./text.ts";

const COMPLETE = {
  COMPLETE: "Nothing that was sealed is missing.",
  DEGRADED: "The recorder itself says that something was not recorded.",
  INCOMPLETE: "Something that should be here is missing.",
} as const;

export function verdictView(
  { verified, held, published }: Examined,
  again: (held: HeldKeys) => void,
): HTMLElement {
  const { integrity, completeness, findings } = verified;
  const sound = integrity === "VALID";
  const look = sound ? (held.seal ? "good" : "open") : "bad";
  const complete = { COMPLETE: look === "good" ? "good" : "open", DEGRADED: "warn", INCOMPLETE: "bad" }[
    completeness
  ];
  return el(
    "section",
    { class: "verdict", id: "verdict", "aria-live": "polite" },
    el("h2", {}, "Verdict"),
    el(
      "div",
      { class: "tiles" },
      tile("Integrity", integrity, look, integrityWords(sound, held.seal)),
      tile("Completeness", completeness, complete, COMPLETE[completeness]),
    ),
    findings.length > 0
      ? findingsView(findings)
      : el("p", {}, "No findings: everything that could be checked holds."),
    keyView(held, published?.hint ?? verified.key?.hint, again),
  );
}

function integrityWords(sound: boolean, held: boolean): string {
  if (!sound) return "Something here is not what was sealed. The findings name it.";
  return held
    ? "Every byte is as the holder of the key you gave has signed it."
    : "Every byte fits the key in this file. Whose key that is, the file cannot say: hold it against yours, below.";
}

const tile = (title: string, word: string, look: string, words: string): HTMLElement =>
  el(
    "div",
    { class: `tile ${look}` },
    el("h3", {}, title),
    el("p", { class: "word" }, word),
    el("p", {}, words),
  );

function findingsView(findings: readonly Finding[]): HTMLElement {
  const rows = findings.map(({ code, object, message, severity }) =>
    el(
      "li",
      { class: severity },
      el("code", {}, code),
      " ",
      el("span", { class: "object" }, shown(object)),
      el("p", {}, shown(message)),
    ),
  );
  return el(
    "section",
    { class: "findings" },
    el("h3", {}, count(findings.length, "finding")),
    el("ul", { class: "plain" }, rows),
  );
}

function keyView(
  held: Examined["held"],
  hint: string | undefined,
  again: (held: HeldKeys) => void,
): HTMLElement {
  const print =
    fingerprint(hint)
      .match(/.{1,8}/g)
      ?.join(" ") ?? "";
  const wrong = el("p", { class: "refusal", role: "alert", hidden: true });
  const paste = el("textarea", {
    id: "held",
    rows: 4,
    spellcheck: "false",
    placeholder: "-----BEGIN PUBLIC KEY-----   or   sha256 …   or   log.vkey and log-pq.vkey",
  });
  const submit = async (event: Event) => {
    event.preventDefault();
    const read = await readHeld(paste.value);
    wrong.hidden = typeof read !== "string";
    if (typeof read === "string") wrong.textContent = read;
    else again(read);
  };
  const file = el("input", {
    type: "file",
    id: "held-file",
    "aria-label": "Read the key from a file",
    on: {
      change: async () => {
        const texts = await Promise.all([...(file.files ?? [])].map((each) => each.text()));
        paste.value = texts.join("\n");
      },
    },
  });
  file.multiple = true;
  return el(
    "section",
    { class: "key" },
    el("h3", {}, held.seal ? "Held against your key" : "This file cannot vouch for itself"),
    el(
      "p",
      {},
      held.seal
        ? "The signatures were checked with what you gave, not with what the file brings."
        : "Whoever altered the evidence could have put another key here, and another page around it. Compare the fingerprint with the one you were given by another way than this file, or paste what you hold:",
    ),
    el(
      "p",
      { class: "print" },
      el("span", { class: "quiet" }, "SHA-256 of the key in this file"),
      el("code", {}, print),
    ),
    el(
      "p",
      { class: "quiet" },
      held.log
        ? "The log's checkpoints were checked with your vkeys."
        : "The log's checkpoints were checked with the vkeys in this file.",
    ),
    el(
      "form",
      { on: { submit: (event) => void submit(event) } },
      el("label", { for: "held" }, "The key you hold: seal.pub, its SHA-256, the log's vkeys"),
      paste,
      el("div", { class: "bar" }, file, el("button", { type: "submit", class: "primary" }, "Verify with it")),
      wrong,
    ),
    el(
      "p",
      { class: "quiet" },
      "The page itself came with the file. To rely on neither, run ",
      el("code", {}, "npx steno verify"),
      " of your own copy on this file, or follow docs/auditors.md with openssl and sha256sum.",
    ),
  );
}
