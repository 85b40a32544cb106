/** Why there is nothing left of a budget. */
import type { Amounts } from "./window.ts";

export type Spent = {
  readonly budget: string;
  readonly what: keyof Amounts | "concurrent";
  /** Seconds until there is something again, if nothing else is used meanwhile. */
  readonly later: number;
};
