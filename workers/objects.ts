/** The classes whose objects keep the recorder's state, each with the means of this service. */
import { ApprovalObject as ApprovalBase } from "#durable/approval/approval.ts";
import type { Notice } from "#durable/approval/notice.ts";
import { BudgetObject as BudgetBase } from "#durable/budget/budget-object.ts";
import { DirectoryObject as DirectoryBase } from "#durable/directory.ts";
import type { ApprovalRow } from "#durable/format/approval/approval.ts";
import type { ApprovalId } from "#durable/format/ids.ts";
import { JournalObject as JournalBase } from "#durable/journal.ts";
import { LedgerObject as LedgerBase } from "#durable/ledger.ts";
import { alert } from "#durable/means.ts";
import { SessionObject as SessionBase } from "#durable/session.ts";
import { approvalsOf, journalOf } from "#durable/stubs.ts";
import { tellWebhook } from "./approvals/webhook.ts";
import { type Env, recorderEnv } from "./env.ts";
import { ledgerMeans, recorderMeans } from "./recorder-means.ts";

export class SessionObject extends SessionBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.means = recorderMeans(env);
    this.load();
  }
}

export class JournalObject extends JournalBase {
  readonly #self;
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#self = journalOf(recorderEnv(env).journal);
    this.load();
  }
  protected override turn(): Promise<void> {
    return this.#self.rest();
  }
}

export class LedgerObject extends LedgerBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.means = ledgerMeans(env, state.id.name ?? "");
    this.load();
  }
}

export class BudgetObject extends BudgetBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.means = recorderMeans(env);
    this.load();
  }
}

export class DirectoryObject extends DirectoryBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.means = recorderMeans(env);
    this.load();
  }
}

export class ApprovalObject extends ApprovalBase {
  protected override readonly means;
  constructor(state: DurableObjectState, env: Env) {
    super(state);
    const directory = () => approvalsOf(recorderEnv(env).directory);
    this.means = {
      now: () => Date.now(),
      // The list may be behind for a while: the object is what decides.
      tell: (row: ApprovalRow) => directory().tellApproval(row).catch(behind),
      forget: (approval: ApprovalId) => directory().forgetApproval(approval),
      get breakGlass() {
        return recorderEnv(env).settings.breakGlass;
      },
      get webhooks() {
        return recorderEnv(env).settings.webhooks.length;
      },
      notify: (webhook: number, notice: Notice, id: string) => notify(env, webhook, notice, id),
      alert,
    };
  }
}

async function notify(raw: Env, which: number, notice: Notice, id: string): Promise<void> {
  const env = recorderEnv(raw);
  const { webhooks, approvalsUrl } = env.settings;
  const webhook = webhooks[which];
  // It is configured no more: whoever took it out does not want to hear the rest.
  if (!webhook) return;
  const { url, shape, binding, secret } = webhook;
  const to = {
    ...{ url, shape, secret: secret === undefined ? undefined : env.secret(secret) },
    fetch: (at: string, init: RequestInit) => env.webhook(binding).fetch(at, init),
  };
  await tellWebhook(to, notice, { id, approvalsUrl, now: Date.now() });
}

const behind = (cause: unknown): void => alert("approval_list_behind", { cause: String(cause) });
