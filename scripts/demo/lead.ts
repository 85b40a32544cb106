/** Bob, who leads: decides on what waits, with the console's API, as `steno approvals` does. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Lead {
  /** Waits until something waits for a decision, and decides. */
  decide(verb: "approve" | "deny", comment: string): Promise<void>;
}

type Waiting = { readonly approval: string; readonly state: string; readonly reason: string };

const WAIT_MS = 30_000;

export function leadAt(console: string, token: string, say: (line: string) => void): Lead {
  const call = async (method: "GET" | "POST", path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${console}/api/v1/approvals${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  };
  return {
    async decide(verb, comment) {
      for (const end = Date.now() + WAIT_MS; ; await sleep(50)) {
        const { approvals } = (await call("GET", "")) as { readonly approvals: readonly Waiting[] };
        const waiting = approvals.find(({ state }) => state === "pending");
        if (waiting) {
          await call("POST", `/${waiting.approval}/${verb}`, { comment });
          say(`  Bob ${verb === "approve" ? "approves" : "denies"} it: ${comment}`);
          return;
        }
        if (Date.now() > end) throw new Error(`nothing waits for approval after ${WAIT_MS / 1000} s`);
      }
    },
  };
}
