/** All that workerd loads: one bundle, from which each service takes its entrypoints (ARCHITECTURE §3). */
export { Decide } from "./approvals/decide.ts";
export { Hold } from "./approvals/hold.ts";
export { Pins } from "./approvals/pins.ts";
export { Standing } from "./approvals/standing.ts";
export { Console } from "./console.ts";
export { Analyzer, Egress, IssuerKeys } from "./egress.ts";
export { Evaluator, Scope } from "./evaluator.ts";
export { Gateway, Gateway as default } from "./gateway.ts";
export {
  ApprovalObject,
  BudgetObject,
  DirectoryObject,
  JournalObject,
  LedgerObject,
  SessionObject,
} from "./objects.ts";
export { Append, Custody, Kill, Read, Spool } from "./recorder.ts";
