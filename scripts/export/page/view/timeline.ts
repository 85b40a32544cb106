/** All that was recorded, in order: one line each, opened one by one; searched, filtered, walked with the keyboard. */
import { bodyBytes, bodyLength, type Exchange, type ReplayItem } from "#durable/proof/replay/replay.ts";
import {
  asText,
  describeOperation,
  describePrincipal,
  isEncrypted,
  outcomeOf,
} from "#durable/proof/replay/summary.ts";
import { el } from "./element.ts";
import { exchangeView, gapView, otherView } from "./exchange.ts";
import { count, shown, size } from "./text.ts";

type Kind = "all" | "denied" | "pushes" | "gaps";
const KINDS: Readonly<Record<Kind, string>> = {
  all: "Everything",
  denied: "Denied or refused",
  pushes: "Pushes",
  gaps: "Gaps",
};

type Row = { readonly element: HTMLDetailsElement; readonly item: ReplayItem; found?: string };

/** Rows are put into the page this many at a time, so that a long session is there at once. */
const AT_ONCE = 400;

export function timelineView(items: readonly ReplayItem[]): HTMLElement {
  const origin = items.flatMap(placeOf)[0]?.at ?? 0;
  const rows: Row[] = items.map((item) => ({ element: rowOf(item, origin), item }));
  const list = el("div", { class: "rows", on: { keydown: (event) => walk(rows, event as KeyboardEvent) } });
  const told = el("p", { class: "quiet", role: "status" });
  const search = el("input", {
    type: "search",
    id: "search",
    placeholder: "Search everything recorded",
    spellcheck: "false",
    "aria-label": "Search everything recorded",
  });
  let kind: Kind = "all";
  const apply = () => {
    const words = search.value.toLowerCase();
    let left = 0;
    for (const row of rows) {
      const hit = isOf(kind, row.item) && (words === "" || haystack(row).includes(words));
      row.element.hidden = !hit;
      if (hit) left += 1;
    }
    told.textContent =
      left === rows.length ? count(rows.length, "event") : `${left} of ${count(rows.length, "event")}`;
  };
  let waiting: ReturnType<typeof setTimeout> | undefined;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 150);
  });
  const choices = (Object.keys(KINDS) as Kind[]).map((each) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name: "kind",
        value: each,
        checked: each === "all",
        on: {
          change: () => {
            kind = each;
            apply();
          },
        },
      }),
      el("span", {}, KINDS[each]),
    ),
  );
  apply();
  append(list, rows, 0);
  return el(
    "section",
    { class: "timeline", id: "timeline" },
    el("h2", {}, "Replay"),
    el(
      "p",
      { class: "caution" },
      "This evidence does not verify: what follows may not be what was recorded. The findings say what is wrong.",
    ),
    el(
      "div",
      { class: "tools" },
      search,
      el("div", { class: "kinds", role: "radiogroup", "aria-label": "Show" }, choices),
    ),
    told,
    list,
    el(
      "p",
      { class: "quiet keys" },
      el("kbd", {}, "/"),
      " search · ",
      el("kbd", {}, "↓"),
      el("kbd", {}, "↑"),
      " next, previous · ",
      el("kbd", {}, "Enter"),
      " open or close · times are UTC, by the gateway's clock",
    ),
  );
}

function append(list: HTMLElement, rows: readonly Row[], from: number): void {
  list.append(...rows.slice(from, from + AT_ONCE).map(({ element }) => element));
  if (from + AT_ONCE < rows.length) setTimeout(() => append(list, rows, from + AT_ONCE));
}

function walk(rows: readonly Row[], event: KeyboardEvent): void {
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  const target = event.target as Element;
  if (step === undefined || event.ctrlKey || event.metaKey || event.altKey || target.tagName !== "SUMMARY")
    return;
  const open = rows.filter(({ element }) => !element.hidden);
  const at = open.findIndex(({ element }) => element === target.parentElement);
  const next = at === -1 ? undefined : open[at + step];
  if (!next) return;
  event.preventDefault();
  next.element.querySelector("summary")?.focus();
}

function rowOf(item: ReplayItem, origin: number): HTMLDetailsElement {
  const [place] = placeOf(item);
  const { name, about, chip, numbers, look } = lineOf(item);
  const row = el(
    "details",
    { class: `row ${look}` },
    el(
      "summary",
      {},
      el(
        "span",
        { class: "when", title: place ? new Date(place.at).toISOString() : "" },
        place ? offset(place.at - origin) : "",
      ),
      el("span", { class: "name" }, shown(name)),
      el("span", { class: "about" }, about),
      el("span", { class: "numbers" }, numbers),
      el("span", { class: "chip" }, chip),
    ),
  );
  row.addEventListener(
    "toggle",
    () => {
      row.append(
        el(
          "div",
          { class: "inside" },
          place ? el("p", { class: "quiet" }, new Date(place.at).toISOString()) : undefined,
          inside(item),
        ),
      );
    },
    { once: true },
  );
  return row;
}

type Line = {
  readonly name: string;
  readonly about: (Node | string)[];
  readonly chip: string;
  readonly numbers: string;
  readonly look: string;
};

function lineOf(item: ReplayItem): Line {
  const line = { about: [] as (Node | string)[], chip: "", numbers: "", look: "mark" };
  switch (item.kind) {
    case "start":
      return {
        ...line,
        name: "session start",
        about: [shown(describePrincipal(item.frame.principal)), " with ", shown(item.frame.client)],
      };
    case "end":
      return item.frame.k === "session.end"
        ? {
            ...line,
            name: "session end",
            about: [
              shown(asText(item.frame.reason)),
              item.frame.by === undefined ? "" : shown(` by ${asText(item.frame.by)}`),
            ],
          }
        : {
            ...line,
            name: "session cut off",
            about: [shown(asText(item.frame.cause))],
            look: "mark warn",
            chip: "truncated",
          };
    case "gap":
      return {
        ...line,
        name: "gap",
        about: [shown(asText(item.frame.missing))],
        look: "mark warn",
        chip: "not recorded",
      };
    case "unread":
      return {
        ...line,
        name: isEncrypted(item.object) ? "encrypted" : "unreadable",
        about: [shown(item.seq === undefined ? item.object : `frame ${item.seq} in ${item.object}`)],
        look: isEncrypted(item.object) ? "mark warn" : "mark bad",
        chip: "not shown",
      };
    case "other":
      return {
        ...line,
        name: item.frame.kind,
        about: [shown(asText(item.frame.json["reason"] ?? item.frame.json["message"]))],
      };
    case "exchange":
      return exchangeLine(item.exchange);
  }
}

function exchangeLine(exchange: Exchange): Line {
  const { kind, about } = describeOperation(exchange);
  const { request, response, decision, c2s, s2c } = exchange;
  const outcome = outcomeOf(exchange);
  const where = request?.connection ? [shown(request.connection), " "] : [];
  const why = outcome === "denied" && decision ? [" — ", shown(asText(decision.reason))] : [];
  return {
    name: kind,
    about: [...where, shown(about), ...why],
    chip: outcome,
    numbers: `${response?.status ?? "–"} · ${size(bodyLength(c2s))} ↑ ${size(bodyLength(s2c))} ↓`,
    look: outcome === "allowed" ? "allowed" : outcome === "undecided" ? "warn" : "bad",
  };
}

function inside(item: ReplayItem): HTMLElement {
  switch (item.kind) {
    case "exchange":
      return exchangeView(item.exchange);
    case "gap":
      return gapView(item.frame);
    case "other":
      return otherView(item.frame);
    case "unread":
      return el(
        "p",
        {},
        isEncrypted(item.object)
          ? "It is encrypted to the auditors: that it is as it was sealed was checked, and nothing of it can be shown here."
          : "It is missing, or not as it was sealed: nothing of it is shown. The findings say what is wrong.",
      );
    case "start":
    case "end":
      return shown(JSON.stringify(item.frame, null, 2), "lines");
  }
}

function placeOf(item: ReplayItem): readonly { readonly at: number }[] {
  switch (item.kind) {
    case "exchange":
      return [item.exchange];
    case "other":
      return [item.frame];
    case "unread":
      return [];
    case "start":
    case "gap":
    case "end":
      return [item];
  }
}

function isOf(kind: Kind, item: ReplayItem): boolean {
  switch (kind) {
    case "all":
      return true;
    case "denied":
      return item.kind === "exchange" && ["denied", "refused"].includes(outcomeOf(item.exchange));
    case "pushes":
      return item.kind === "exchange" && describeOperation(item.exchange).kind === "git.push";
    case "gaps":
      return (
        ["gap", "unread"].includes(item.kind) ||
        (item.kind === "end" && item.frame.k === "session.truncated") ||
        (item.kind === "exchange" && item.exchange.gaps.length > 0)
      );
  }
}

const lenient = new TextDecoder();

/** Everything of the row as text, bodies too: made when somebody searches for the first time. */
function haystack(row: Row): string {
  if (row.found === undefined) {
    const { item } = row;
    const bodies = item.kind === "exchange" ? [item.exchange.c2s, item.exchange.s2c] : [];
    const frames =
      item.kind === "exchange"
        ? [
            item.exchange.request,
            item.exchange.decision,
            item.exchange.response,
            item.exchange.git,
            item.exchange.gaps,
            item.exchange.others,
            item.exchange.x,
          ]
        : item;
    const texts = bodies.map((body) => lenient.decode(bodyBytes(body) ?? new Uint8Array()));
    row.found = [row.element.textContent, JSON.stringify(frames), ...texts].join("\n").toLowerCase();
  }
  return row.found;
}

function offset(ms: number): string {
  const sign = ms < 0 ? "−" : "+";
  const all = Math.abs(ms);
  const hours = Math.floor(all / 3_600_000);
  const rest = new Date(all % 3_600_000).toISOString().slice(14, 23);
  return `${sign}${hours > 0 ? `${hours}:` : ""}${rest}`;
}
