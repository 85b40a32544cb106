// What an answer is shown with: policy by a list of names that are denied, pins as a map, and frames in a list.
import type { CatalogueFrame } from "#durable/format/catalogue/catalogue.ts";
import type { Definition } from "#durable/format/catalogue/definition.ts";
import { fitsLine } from "#durable/format/frame.ts";
import type { ConnectionName, ExchangeId } from "#durable/format/ids.ts";
import type { McpOperation } from "#durable/format/operation.ts";
import type { Question } from "#durable/format/question/question.ts";
import { detectors } from "#test/unit/adapter-contract.ts";
import type { Showing } from "#workers/adapters/adapter.ts";
import { showAnswer } from "#workers/adapters/mcp/catalogue/show.ts";
import { maskerFor } from "#workers/mask/reading.ts";

export type Recorded = Omit<CatalogueFrame, "x"> & { readonly items?: readonly Record<string, unknown>[] };
export type Answered = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly frames: readonly Recorded[];
  readonly asked: readonly Question[];
  readonly learnt: readonly string[];
  /** What was done, in its order. */
  readonly steps: readonly string[];
};

type Around = {
  readonly denied?: readonly string[];
  readonly held?: readonly string[];
  readonly pins?: Readonly<Record<string, Definition>>;
  readonly connection?: Partial<Showing["connection"]>;
  readonly mask?: readonly string[];
  readonly operation?: Partial<McpOperation>;
  readonly fails?: Partial<Pick<Showing, "verdicts" | "known" | "learn" | "record">>;
};

const own = (pins: Readonly<Record<string, Definition>>, tool: string): Definition | undefined =>
  Object.hasOwn(pins, tool) ? pins[tool] : undefined;

/** The answer as an agent sees it, and all that happened on the way. Rejects as the adapter does. */
export async function shown(response: Response, around: Around = {}): Promise<Answered> {
  const { denied = [], held = [], pins = {}, mask = [], fails = {} } = around;
  const [frames, asked, learnt, steps]: [Recorded[], Question[], string[], string[]] = [[], [], [], []];
  const showing: Showing = {
    connection: { name: "tracker" as ConnectionName, kind: "mcp", bodies: "full", ...around.connection },
    async verdicts(questions) {
      steps.push("verdicts");
      asked.push(...questions);
      return questions.map(({ part }) =>
        denied.includes(part)
          ? { verdict: "deny", policies: part.length > 9 ? Array(99).fill(part) : [`no-${part}`] }
          : { verdict: held.includes(part) ? "hold" : "allow", policies: [] },
      );
    },
    async known(tools) {
      return tools.map((tool) => {
        const pinned = own(pins, tool);
        return pinned ? { pinned } : null;
      });
    },
    async opened(session) {
      steps.push(`opened ${session}`);
    },
    async learn(some) {
      steps.push("learn");
      learnt.push(...some.map(({ tool }) => tool));
      return some.map(({ tool, digest }) => {
        const pinned = own(pins, tool);
        return !pinned ? "new" : pinned.digest === digest ? "pinned" : "changed";
      });
    },
    hide(text, reading) {
      const rules = detectors.choose(mask);
      if (!rules) return text;
      const masker = maskerFor(reading, rules);
      const parts = [masker.push(new TextEncoder().encode(text)), masker.end()];
      return new TextDecoder().decode(Buffer.concat(parts));
    },
    async record(some) {
      steps.push("record");
      for (const frame of some)
        if (!fitsLine({ ...frame, x: "exc_00000000000000000000000000" as ExchangeId } as CatalogueFrame))
          throw new Error("it does not fit into a line");
      frames.push(...(some as unknown as Recorded[]));
    },
    within: (read) => read,
    ...fails,
  };
  const operation: McpOperation = {
    kind: "mcp.tools/list",
    method: "tools/list",
    id: 1,
    ...around.operation,
  };
  const answer = await showAnswer(operation, response, showing);
  const text = await answer.text();
  steps.push("shown");
  return { status: answer.status, headers: answer.headers, text, frames, asked, learnt, steps };
}
