/** `steno replay PATH`: who asked for what and when, and what was decided, one line each; verified on the way. */
import { openReplay } from "#durable/proof/replay/open.ts";
import { bodyLength, type Exchange, type ReplayItem } from "#durable/proof/replay/replay.ts";
import {
  asText,
  describeOperation,
  describePrincipal,
  isEncrypted,
  outcomeOf,
} from "#durable/proof/replay/summary.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { type SessionPlace, sessionIn } from "#scripts/export/session-place.ts";
import { hushMlDsa } from "#scripts/verify/ml-dsa.ts";
import { findPlace } from "#scripts/verify/place.ts";

const FLAGS = { session: "text", endpoint: "text", region: "text", json: "flag" } as const;

/** Exit 1 when the verifier found anything: what is shown may then not be all, or not what was recorded. */
export async function replay(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  hushMlDsa();
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [path] = rest;
  if (path === undefined) throw new UsageFault("replay needs the path of an archive or of a session");
  const { endpoint, region } = values;
  const place = await sessionIn(
    await findPlace(path, { endpoint, region, env: terminal.env }),
    values.session,
  );
  const verified = await verifyArchive(place.source, { now: Date.now() }, place.session);
  const opened = await openReplay(place.source, place.session);
  if (!opened) throw new Error(`${place.session} has no head that can be read`);
  for (const item of opened.items)
    terminal.out(values.json === true ? JSON.stringify(recordOf(place, item)) : lineOf(item));
  conclude(verified, values.json === true, terminal);
  // A note is nothing that was found: it says what was not looked into.
  return verified.findings.every(({ severity }) => severity === "note") ? 0 : 1;
}

function conclude(
  { findings, integrity, completeness, key }: Verified,
  json: boolean,
  terminal: Terminal,
): void {
  if (json) terminal.out(JSON.stringify({ kind: "verdict", integrity, completeness, findings }));
  else {
    for (const { code, object, message } of findings) terminal.out(oneLine(`${code} ${object}: ${message}`));
    terminal.out(
      `${integrity} ${completeness}, by key ${key?.hint ?? "none"} of the archive: steno verify takes yours`,
    );
  }
}

function lineOf(item: ReplayItem): string {
  switch (item.kind) {
    case "start":
      return line(item.at, "start", `${describePrincipal(item.frame.principal)} with ${item.frame.client}`);
    case "exchange":
      return exchangeLine(item.exchange);
    case "gap":
      return line(item.at, "gap", `${asText(item.frame.missing)} (${asText(item.frame.cause)})`);
    case "end":
      return item.frame.k === "session.end"
        ? line(item.at, "end", asText(item.frame.reason))
        : line(item.at, "truncated", asText(item.frame.cause));
    case "other":
      return line(
        item.frame.at,
        item.frame.kind,
        asText(item.frame.json["reason"] ?? item.frame.json["message"]),
      );
    case "unread":
      return oneLine(
        `${isEncrypted(item.object) ? "encrypted" : "unreadable"}: ${item.object}${item.seq === undefined ? "" : ` frame ${item.seq}`}`,
      );
  }
}

function exchangeLine(exchange: Exchange): string {
  const { at, request, response, decision, c2s, s2c } = exchange;
  const { kind, about } = describeOperation(exchange);
  const passed = `${response?.status ?? "-"}, ${bodyLength(c2s)} B up, ${bodyLength(s2c)} B down`;
  const by = decision ? `: ${asText(decision.reason)} [${decision.policies.join(", ")}]` : "";
  return line(at, outcomeOf(exchange), `${kind} ${request?.connection ?? ""} ${about} (${passed})${by}`);
}

const line = (at: number, what: string, words: string): string =>
  oneLine(`${new Date(at).toISOString()} ${what.padEnd(9)} ${words.replaceAll(/ {2,}/g, " ")}`);

/** Without bodies: their sizes and how they ended. `steno export --har` has them. */
function recordOf({ session }: SessionPlace, item: ReplayItem): object {
  if (item.kind !== "exchange") return { session, ...item };
  const { c2s, s2c, request, response, decision, git, gaps, others, x, at, until, frames } = item.exchange;
  return {
    session,
    kind: item.kind,
    x,
    at: new Date(at).toISOString(),
    until: new Date(until).toISOString(),
    frames: [frames[0], frames.at(-1)],
    outcome: outcomeOf(item.exchange),
    request,
    decision,
    response,
    git,
    gaps,
    others,
    bodies: {
      request: { bytes: bodyLength(c2s), end: c2s.end },
      response: { bytes: bodyLength(s2c), end: s2c.end },
    },
  };
}
