/** All that workerd loads: one bundle, from which each service takes its entrypoints (ARCHITECTURE §3). */
export { Console } from "./console.ts";
export { Egress, IssuerKeys } from "./egress.ts";
export { Evaluator } from "./evaluator.ts";
export { Gateway, Gateway as default } from "./gateway.ts";
export {
  Append,
  BudgetObject,
  Custody,
  DirectoryObject,
  JournalObject,
  Kill,
  LedgerObject,
  Read,
  SessionObject,
  Spool,
} from "./recorder.ts";
