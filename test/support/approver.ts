// Somebody who decides, by the console's API, with a token of their own.
import { setTimeout as sleep } from "node:timers/promises";
import type { ApprovalRow, ApprovalView } from "#durable/format/approval/approval.ts";
import type { Node } from "./steno.ts";

export interface Approver {
  list(): Promise<readonly ApprovalRow[]>;
  /** Waits until something waits for a decision, and says what it is. */
  waiting(but?: readonly string[]): Promise<ApprovalRow>;
  show(approval: string): Promise<ApprovalView>;
  /** The answer with its status, whatever that is. */
  say(approval: string, what: "approve" | "deny" | "comment", comment?: string): Promise<Decided>;
}

export type Decided = { readonly status: number; readonly body: ApprovalView & { readonly detail?: string } };

export function approverOf(node: Pick<Node, "console">, token: string): Approver {
  const call = async (method: "GET" | "POST", path: string, body?: object): Promise<Decided> => {
    const response = await fetch(`${node.console()}/api/v1/approvals${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Decided["body"] };
  };
  const list = async () =>
    ((await call("GET", "")).body as unknown as { approvals: readonly ApprovalRow[] }).approvals;
  return {
    list,
    async waiting(but = []) {
      for (const end = performance.now() + 90_000; performance.now() < end; ) {
        const found = (await list()).find(
          ({ approval, state }) => state === "pending" && !but.includes(approval),
        );
        if (found) return found;
        await sleep(100);
      }
      throw new Error("nothing waits for approval");
    },
    show: async (approval) => (await call("GET", `/${approval}`)).body,
    say: (approval, what, comment) =>
      call("POST", `/${approval}/${what}`, comment === undefined ? {} : { comment }),
  };
}
