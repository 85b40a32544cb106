// A witness as `steno witness` is one, without its disk and its socket, behind the client that the ledger asks it with.
import type { NoteKey } from "#durable/proof/log/note.ts";
import { COSIGNATURE, noteKey } from "#durable/proof/log/note.ts";
import { emptyRoot } from "#durable/proof/merkle.ts";
import { type Witness as WitnessClient, witnessClient } from "#durable/store/log/witness.ts";
import { type Cosigner, type Memory, type Seen, Witness } from "#scripts/witness/cosign.ts";

/** What its answers are until a test says otherwise: none, one that is lost after it was given, one that never comes, or another. */
export type Mood = "well" | "down" | "lost" | "hangs" | { readonly status: number; readonly body: string };

export type MemoryWitness = {
  readonly key: NoteKey;
  readonly client: WitnessClient;
  readonly seen: Map<string, Seen>;
  /** First lines of what it was sent. */
  readonly asked: string[];
  mood: Mood;
};

export async function ed25519Cosigner(name: string): Promise<Cosigner> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const raw = new Uint8Array((await crypto.subtle.exportKey("raw", pair.publicKey)) as ArrayBuffer);
  const sign = async (bytes: Uint8Array<ArrayBuffer>) =>
    new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bytes));
  return { key: noteKey(name, COSIGNATURE, raw), sign };
}

/** `now`: milliseconds since 1970. */
export async function memoryWitness(
  name: string,
  logs: readonly NoteKey[],
  now: () => number,
  restMs = 0,
): Promise<MemoryWitness> {
  const seen = new Map<string, Seen>();
  const state: Memory = {
    read: async (origin) => seen.get(origin) ?? { origin, size: 0, root: emptyRoot(), at: 0 },
    write: async (next) => void seen.set(next.origin, next),
  };
  const cosigner = await ed25519Cosigner(name);
  const witness = new Witness({ cosigners: [cosigner], logs, state, now: () => Math.floor(now() / 1000) });
  const asked: string[] = [];
  const fetch = async (_url: string, init: RequestInit): Promise<Response> => {
    const body = String(init.body);
    asked.push(body.slice(0, body.indexOf("\n")));
    const { mood } = made;
    if (mood === "down") throw new Error("connection refused");
    if (mood === "hangs") await new Promise(() => undefined);
    if (typeof mood === "object") return new Response(mood.body, { status: mood.status });
    const answer = await witness.addCheckpoint(body);
    if (mood === "lost") throw new Error("connection reset");
    return new Response(answer.body, { status: answer.status });
  };
  const options = { key: cosigner.key, url: `https://${name}`, fetch, now, timeoutMs: 300, restMs };
  const made: MemoryWitness = {
    key: cosigner.key,
    client: witnessClient(options),
    seen,
    asked,
    mood: "well",
  };
  return made;
}
