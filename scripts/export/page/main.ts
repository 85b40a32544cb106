/** The auditor's page: reads the evidence it carries, verifies it, and shows it. It asks nothing of any network. */
import { openReplay } from "#durable/proof/replay/open.ts";
import { type Embedded, readEmbedded } from "./embedded.ts";
import { type Examined, examine } from "./examine.ts";
import type { HeldKeys } from "./held-key.ts";
import { completeSubtle } from "./node/subtle.ts";
import { el } from "./view/element.ts";
import { evidenceView, factsView } from "./view/facts.ts";
import { shown } from "./view/text.ts";
import { timelineView } from "./view/timeline.ts";
import { verdictView } from "./view/verdict.ts";

const main = el("main", {});
const state = el("p", { class: "state", role: "status" }, "Reading the evidence in this file …");

async function run(): Promise<void> {
  document.body.prepend(header(), main);
  main.append(state);
  completeSubtle(crypto.subtle);
  const embedded = readEmbedded(document);
  document.title = `${embedded.session} · Steno`;
  document.querySelector("header")?.append(el("p", { class: "session" }, el("code", {}, embedded.session)));
  state.textContent = "Verifying …";
  const opened = await openReplay(embedded.source, embedded.session);
  const verdict = el("div", { class: "side" });
  const shownParts = el("div", { class: "rest" });
  await verify(embedded, verdict, {});
  if (opened) {
    verdict.append(factsView(opened.statement, opened.items));
    shownParts.append(timelineView(opened.items), await evidenceView(embedded.objects, opened.statement));
  } else {
    shownParts.append(el("p", {}, "There is no seal and no head that can be read: nothing can be replayed."));
  }
  state.remove();
  main.append(verdict, shownParts);
  document.addEventListener("keydown", focusSearch);
}

/** Puts the verdict in place of the one before, by the keys the auditor holds. */
async function verify(embedded: Embedded, place: HTMLElement, held: HeldKeys): Promise<void> {
  const examined: Examined = await examine(embedded, held, Date.now());
  const view = verdictView(examined, (next) => {
    view.classList.add("busy");
    guarded(verify(embedded, place, next));
  });
  const before = place.querySelector(".verdict");
  if (before) before.replaceWith(view);
  else place.append(view);
  document.body.dataset["integrity"] = examined.verified.integrity;
  document.body.dataset["completeness"] = examined.verified.completeness;
  document.body.dataset["held"] = String(examined.held.seal);
}

const header = (): HTMLElement =>
  el(
    "header",
    {},
    el("p", { class: "brand" }, "Steno"),
    el(
      "nav",
      { "aria-label": "Parts" },
      [
        ["verdict", "Verdict"],
        ["facts", "Session"],
        ["timeline", "Replay"],
        ["evidence", "Evidence"],
      ].map(([id, name]) => {
        const link = document.createElement("a");
        link.href = `#${id}`;
        link.textContent = name ?? "";
        return link;
      }),
    ),
  );

function focusSearch(event: KeyboardEvent): void {
  const target = event.target as Element | null;
  if (event.key !== "/" || target?.closest("input, textarea") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  document.getElementById("search")?.focus();
}

function guarded(work: Promise<void>): void {
  work.catch((error: unknown) => {
    // Whatever failed, nothing was verified: the page must not look as if it had been.
    document.body.dataset["integrity"] = "FAILED";
    const why = error instanceof Error ? error.message : String(error);
    main.replaceChildren(
      el(
        "section",
        { class: "verdict" },
        el("h2", {}, "Nothing was verified"),
        el("p", { class: "refusal", role: "alert" }, shown(why)),
        el("p", {}, "Verify the evidence with npx steno verify, or by hand as docs/auditors.md says."),
      ),
    );
  });
}

guarded(run());
