/** One exchange in full: what was decided and why, both heads, what a push contains, both bodies. */
import type { Commit, GapFrame, Header } from "#durable/format/frame.ts";
import type { RefUpdate } from "#durable/format/operation.ts";
import type { Exchange, OtherFrame } from "#durable/proof/replay/replay.ts";
import { asList, asText } from "#durable/proof/replay/summary.ts";
import { bodyView } from "./body.ts";
import { el } from "./element.ts";
import { shown } from "./text.ts";

export function exchangeView(exchange: Exchange): HTMLElement {
  const { x, frames, request, response, c2s, s2c, git, gaps, others } = exchange;
  const asked = request?.operation as { readonly updates?: unknown } | undefined;
  const updates = asList(asked?.updates ?? git[0]?.updates);
  const commits = git.flatMap(({ commits }) => asList(commits)) as readonly Commit[];
  return el(
    "div",
    { class: "exchange" },
    decisionView(exchange),
    updates.length > 0 ? updatesView(updates as readonly RefUpdate[]) : undefined,
    commits.length > 0 ? commitsView(commits) : undefined,
    request && headView("Request", [`${request.method} ${request.path}`], request.headers),
    bodyView("Request body", c2s, isGzip(request?.headers), `${x}-request.bin`),
    response && headView("Response", [String(response.status)], response.headers, response.refusal),
    bodyView("Response body", s2c, isGzip(response?.headers), `${x}-response.bin`),
    gaps.map(gapView),
    others.map(otherView),
    request && operationView(request.operation),
    el("p", { class: "quiet" }, "exchange ", el("code", {}, shown(x)), ` · frames ${ranges(frames)}`),
  );
}

function decisionView({ decision }: Exchange): HTMLElement {
  if (!decision) return el("p", { class: "decision" }, "Refused before anything was decided.");
  const { verdict, reason, policies, set } = decision;
  const denied = asList(decision.denied) as readonly { part?: unknown; reason?: unknown }[];
  return el(
    "div",
    { class: `decision ${verdict === "deny" ? "denied" : "allowed"}` },
    el(
      "p",
      {},
      el("strong", {}, verdict === "deny" ? "Denied" : "Allowed"),
      asText(reason) === "" ? "" : [": ", shown(asText(reason))],
    ),
    denied.length > 0
      ? el(
          "ul",
          { class: "plain" },
          denied.map((each) =>
            el("li", {}, el("code", {}, shown(asText(each?.part))), " ", shown(asText(each?.reason))),
          ),
        )
      : undefined,
    el(
      "p",
      { class: "quiet" },
      policies.length === 0
        ? "no policy applied; no policy means deny"
        : ["by ", policies.map((id, i) => [i > 0 ? ", " : "", el("code", {}, shown(id))])],
      " of the set ",
      el("code", {}, shown(asText(set))),
    ),
  );
}

function updatesView(updates: readonly RefUpdate[]): HTMLElement {
  const rows = updates.map((update) =>
    el(
      "tr",
      {},
      el("td", {}, shown(asText(update?.change))),
      el("td", {}, el("code", {}, shown(asText(update?.ref)))),
      el("td", {}, el("code", {}, shown(asText(update?.old)))),
      el("td", {}, el("code", {}, shown(asText(update?.new)))),
    ),
  );
  return el("section", {}, el("h4", {}, "Refs"), table(["change", "ref", "from", "to"], rows));
}

function commitsView(commits: readonly Commit[]): HTMLElement {
  const rows = commits.map((commit) => {
    const [subject = "", ...rest] = asText(commit?.message).split("\n");
    return el(
      "li",
      {},
      el("p", {}, el("code", {}, shown(asText(commit?.id))), " ", el("strong", {}, shown(subject))),
      el(
        "p",
        { class: "quiet" },
        shown(asText(commit?.author)),
        commit?.signed ? " · signed" : " · not signed",
      ),
      rest.join("\n").trim() === "" ? undefined : shown(rest.join("\n").trim(), "lines"),
    );
  });
  return el(
    "section",
    {},
    el("h4", {}, `Commits in the pack (${commits.length})`),
    el("ol", { class: "commits" }, rows),
  );
}

function headView(
  title: string,
  line: readonly string[],
  headers: readonly Header[],
  refusal?: { readonly code: string; readonly message?: string; readonly cause?: string },
): HTMLElement {
  const rows = headers.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, shown(name)), el("td", {}, shown(value))),
  );
  return el(
    "section",
    {},
    el("h4", {}, title),
    el(
      "p",
      { class: "line" },
      el(
        "code",
        {},
        line.map((part) => shown(part)),
      ),
    ),
    refusal &&
      el(
        "p",
        { class: "refusal" },
        "The gateway's own answer: ",
        el("code", {}, shown(refusal.code)),
        " ",
        shown(asText(refusal.message)),
        refusal.cause === undefined ? undefined : [" (", shown(asText(refusal.cause)), ")"],
      ),
    rows.length > 0 ? el("table", { class: "headers" }, el("tbody", {}, rows)) : undefined,
  );
}

/** What was decoded of the request, in full: every kind has members of its own. */
const operationView = (operation: unknown): HTMLElement =>
  el(
    "details",
    { class: "raw" },
    el("summary", {}, "Operation as it was decided on"),
    shown(JSON.stringify(operation, null, 2), "lines"),
  );

export const gapView = ({ cause, missing }: GapFrame): HTMLElement =>
  el(
    "p",
    { class: "gap" },
    el("strong", {}, "Not recorded"),
    ": ",
    shown(asText(missing)),
    " (",
    shown(asText(cause)),
    ")",
  );

export const otherView = ({ kind, json, seq }: OtherFrame): HTMLElement =>
  el(
    "details",
    { class: "raw" },
    el("summary", {}, `frame ${seq}: `, shown(kind)),
    shown(JSON.stringify(json, null, 2), "lines"),
  );

const isGzip = (headers: readonly Header[] | undefined): boolean =>
  headers?.some(([name, value]) => name.toLowerCase() === "content-encoding" && value === "gzip") ?? false;

export const table = (names: readonly string[], rows: readonly HTMLElement[]): HTMLElement =>
  el(
    "div",
    { class: "wide" },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          names.map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );

/** 3, 5–9, 12 */
function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const n of numbers) {
    const last = runs.at(-1);
    if (last && n === last[1] + 1) last[1] = n;
    else runs.push([n, n]);
  }
  const shownRuns = runs.slice(0, 20).map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`));
  return shownRuns.join(", ") + (runs.length > 20 ? `, … ${numbers.at(-1) ?? ""}` : "");
}
