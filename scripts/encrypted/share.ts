/** `steno keys share`: encrypts session keys anew, to the auditors of steno.toml and whoever is named; segments stay as they are. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { sessionKey } from "#durable/format/layout.ts";
import { AgeUnreadable } from "#durable/proof/age/unreadable.ts";
import { openSessionKey } from "#durable/proof/age/unseal.ts";
import { wrapIdentity, wrongRecipients } from "#durable/store/keys/envelope.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";
import { sessionKeys } from "#scripts/archive/session-keys.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import type { Terminal } from "#scripts/cli/terminal.ts";
import { error, type Finding, line } from "#scripts/config/finding.ts";
import type { Settings } from "#scripts/config/settings.ts";
import { identitiesIn } from "./identity.ts";

export type ShareFlags = { readonly to?: string; readonly identity?: string; readonly json?: boolean };

const TIMEOUT_MS = 60_000;
/** Each key is read, written and read back. */
const AT_ONCE = 8;

/** Exit code of the command: 1 when any key could not be shared. */
export async function shareKeys(
  settings: Settings,
  ids: readonly string[],
  { to = "", identity, json = false }: ShareFlags,
  terminal: Terminal,
): Promise<number> {
  if (identity === undefined)
    throw new UsageFault("give --identity FILE: an auditor's, who can read them now");
  const named = to.split(",").flatMap((text) => (text.trim() === "" ? [] : [text.trim()]));
  const recipients = [...new Set([...settings.evidence.encryptTo, ...named])];
  if (recipients.length === 0) throw new UsageFault("to whom? give --to age1…, or encrypt_to in steno.toml");
  const wrong = wrongRecipients(recipients);
  if (wrong !== undefined) throw new UsageFault(`--to with encrypt_to: ${wrong}`);
  const sessions = ids.map((text) => {
    const parsed = v.safeParse(SessionId, text);
    if (!parsed.success) throw new UsageFault(`"${text}" is not the id of a session`);
    return parsed.output;
  });
  const identities = await identitiesIn(identity);
  const { findings, store } = sessionKeys(settings.keys, terminal.env, TIMEOUT_MS);
  for (const finding of findings) terminal.err(line(finding));
  if (store === undefined) return 2;
  const asked = [...sessions];
  if (asked.length === 0) for await (const session of store.list()) asked.push(session);
  const said: Finding[] = [];
  for (let at = 0; at < asked.length; at += AT_ONCE) {
    const batch = asked.slice(at, at + AT_ONCE);
    const outcomes = await Promise.all(batch.map((session) => share(store, session, identities, recipients)));
    for (const outcome of outcomes) if (outcome) said.push(outcome);
  }
  const shared = asked.length - said.length;
  if (json) terminal.out(JSON.stringify({ shared, recipients, findings: said }));
  else {
    for (const finding of said) terminal.out(line(finding));
    terminal.out(`${shared} session keys for ${recipients.length} recipients`);
  }
  return said.length === 0 ? 0 : 1;
}

async function share(
  store: KeyStore,
  session: SessionId,
  identities: readonly string[],
  recipients: readonly string[],
): Promise<Finding | undefined> {
  const key = sessionKey(session);
  try {
    const own = await openSessionKey({ get: () => store.get(session) }, session, identities);
    if (!own) return error(key, "is not there");
    await store.put(session, await wrapIdentity(own.join("\n"), recipients));
    return undefined;
  } catch (cause) {
    if (!(cause instanceof AgeUnreadable)) throw cause;
    return error(key, cause.message);
  }
}
