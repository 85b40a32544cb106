/** Every hook event as a file: what the agent sends, what the gateway makes of it, how it is answered. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Agent } from "#workers/adapters/hooks/reply.ts";

const ROOT = join(import.meta.dirname, "../../vectors/hooks");

type Event = Readonly<Record<string, unknown>>;
export type HookVector = {
  /** As it comes on standard input. */
  readonly event: Event;
  readonly operation: { readonly kind: string; readonly event: string; readonly about?: string };
  /** The `hook` frame, without its kind and exchange. */
  readonly frame: Event;
  /** Standard output when it is allowed; and when it is not, where it can be stopped. */
  readonly yes: Event;
  readonly no?: Event;
};

const read = (agent: Agent): ReadonlyMap<string, HookVector> =>
  new Map(
    readdirSync(join(ROOT, agent))
      .toSorted()
      .map((name) => [
        name.replace(".json", ""),
        JSON.parse(readFileSync(join(ROOT, agent, name), "utf8")) as HookVector,
      ]),
  );

export const VECTORS: Readonly<Record<Agent, ReadonlyMap<string, HookVector>>> = {
  cursor: read("cursor"),
  claude: read("claude"),
};

const events = (agent: Agent): ReadonlyMap<string, Event> =>
  new Map([...VECTORS[agent]].map(([name, { event }]) => [name, event]));

export const CURSOR_EXAMPLES = events("cursor");
export const CLAUDE_EXAMPLES = events("claude");
