/** How much one principal may ask for, of what, in how long. */
import * as v from "valibot";
import { ConnectionName } from "../ids.ts";

const Amount = v.pipe(v.number(), v.integer(), v.minValue(1));

export const Budget = v.object({
  /** What the person who has used it up is told. */
  name: v.pipe(
    v.string(),
    v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "1 to 63 of a-z 0-9 -, starting with a letter or digit"),
  ),
  /** Those it holds for: members of this group of the identity provider; everybody when it is absent. */
  group: v.exactOptional(v.string()),
  connection: v.exactOptional(ConnectionName),
  /** An operation, `llm.chat`, or all that begin alike, `git.*`. */
  operation: v.exactOptional(
    v.pipe(
      v.string(),
      v.regex(/^[a-z]+(?:\.[A-Za-z/]+|\.\*)$/, 'an operation, such as "llm.chat", or "git.*"'),
    ),
  ),
  /** The window slides. */
  windowSeconds: Amount,
  requests: v.exactOptional(Amount),
  /** Of bodies, both ways. */
  bytes: v.exactOptional(Amount),
  /** Of models, in and out, as their providers count them. */
  tokens: v.exactOptional(Amount),
  /** Exchanges under way at once. */
  concurrent: v.exactOptional(Amount),
  /** How long a session may last, whatever it is used for. */
  sessionSeconds: v.exactOptional(Amount),
});
export type Budget = v.InferOutput<typeof Budget>;

/** What an exchange is counted under. */
export type Counted = {
  readonly groups: readonly string[];
  readonly connection: string;
  readonly operation: string;
};

/** The budgets an exchange draws on. */
export function budgetsFor(
  budgets: readonly Budget[],
  { groups, connection, operation }: Counted,
): readonly Budget[] {
  return budgets.filter(
    (budget) =>
      (budget.group === undefined || groups.includes(budget.group)) &&
      (budget.connection === undefined || budget.connection === connection) &&
      (budget.operation === undefined || covers(budget.operation, operation)),
  );
}

const covers = (pattern: string, operation: string): boolean =>
  pattern.endsWith("*") ? operation.startsWith(pattern.slice(0, -1)) : operation === pattern;
