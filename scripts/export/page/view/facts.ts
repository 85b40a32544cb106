/** What the seal says of the session, the objects it rests on, and what one file cannot show. */
import type { Statement } from "#durable/format/head.ts";
import { type Bytes, toHex } from "#durable/proof/bytes.ts";
import type { ReplayItem } from "#durable/proof/replay/replay.ts";
import { describePrincipal } from "#durable/proof/replay/summary.ts";
import { saveAs } from "./body.ts";
import { el } from "./element.ts";
import { table } from "./exchange.ts";
import { count, shown, size } from "./text.ts";

export function factsView({ predicate, subject }: Statement, items: readonly ReplayItem[]): HTMLElement {
  const start = items.find((item) => item.kind === "start");
  const { counts, head, gateway, retention } = predicate;
  const commits = subject.filter(({ digest }) => digest["gitCommit"] !== undefined);
  const rows: [string, (Node | string)[]][] = [
    ["Who", start ? [shown(describePrincipal(start.frame.principal))] : ["not readable"]],
    ["By", start ? [shown(start.frame.principal.issuer)] : []],
    ["With", start ? [shown(start.frame.client)] : []],
    ["Conversation", start?.frame.conversation === undefined ? [] : [shown(start.frame.conversation)]],
    ["From", [shown(predicate.startedAt)]],
    [
      "To",
      [
        shown(predicate.endedAt ?? `not ended, ${predicate.status}`),
        predicate.reason === undefined ? "" : shown(` (${predicate.reason})`),
      ],
    ],
    [
      "Recorded",
      [
        `${count(counts.exchanges, "exchange")} in ${count(counts.frames, "frame")}, ${size(counts.c2s)} sent, ${size(counts.s2c)} received`,
      ],
    ],
    ["Denied", [counts.denied.toLocaleString("en")]],
    ["Gaps", [counts.gaps.toLocaleString("en")]],
    [
      "Commits pushed",
      commits.length === 0
        ? []
        : [list(commits.map(({ name, digest }) => pushedText(name, digest["gitCommit"] ?? "")))],
    ],
    ["Root", [el("code", {}, shown(head.rootHash))]],
    ["Log", [shown(head.origin)]],
    ["Not before", predicate.notBefore ? [shown(`checkpoint of ${predicate.notBefore.size} entries`)] : []],
    ["Gateway build", [el("code", {}, shown(gateway.build.sha256))]],
    ["Configuration", [el("code", {}, shown(gateway.config.sha256))]],
    [
      "Retention asked",
      [shown(retention.mode === "none" ? "none" : `${retention.mode}, ${retention.days} days`)],
    ],
  ];
  return el(
    "section",
    { class: "facts", id: "facts" },
    el("h2", {}, "Session"),
    el(
      "dl",
      {},
      rows
        .filter(([, value]) => value.length > 0)
        .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
  );
}

/** Subjects without a ref of their own are named for the commit. */
const pushedText = (name: string, commit: string): string =>
  name === `commit/${commit}` ? commit : `${commit} ${name}`;

const list = (lines: readonly string[]): HTMLElement =>
  el(
    "ul",
    { class: "plain" },
    lines.map((line) => el("li", {}, el("code", {}, shown(line)))),
  );

/** Digests here are WebCrypto's, not the verifier's: the second opinion that costs nothing. */
export async function evidenceView(
  objects: ReadonlyMap<string, Bytes>,
  { subject }: Statement,
): Promise<HTMLElement> {
  const sealed = new Map(subject.map(({ name, digest }) => [name, digest["sha256"]]));
  const rows: HTMLElement[] = [];
  for (const [key, bytes] of [...objects].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const digest = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
    const said = sealed.get(key);
    const note = said === undefined ? "" : said === digest ? "as sealed" : "not as sealed";
    const save = el(
      "button",
      { type: "button", on: { click: () => saveAs(key.replaceAll("/", "_"), bytes) } },
      "Save",
    );
    rows.push(
      el(
        "tr",
        {},
        el("td", {}, el("code", {}, shown(key))),
        el("td", { class: "number" }, size(bytes.byteLength)),
        el("td", { class: note === "not as sealed" ? "bad" : "" }, note),
        el("td", {}, el("code", { class: "digest" }, digest)),
        el("td", {}, save),
      ),
    );
  }
  return el(
    "section",
    { class: "objects", id: "evidence" },
    el("h2", {}, "Evidence in this file"),
    table(["object", "size", "", "SHA-256", ""], rows),
    limitsView(),
  );
}

const limitsView = (): HTMLElement =>
  el(
    "details",
    { class: "raw" },
    el("summary", {}, "What one session's file cannot show"),
    el(
      "ul",
      {},
      [
        "That no other session is missing: that takes the whole log, with steno verify on the archive.",
        "That the log was not cut back or shown to others otherwise: keep a checkpoint, with steno verify --since.",
        "That the store still holds these objects under lock: steno verify s3://… asks the store.",
        "When it was, but for the gateway's own clock, and not before the checkpoint named above.",
        "That the gateway told the truth while it recorded, and that nothing went around it.",
      ].map((line) => el("li", {}, line)),
    ),
  );
