/** What `npm run dev` hands to its Worker beside Wrangler's own bindings: one secret, `STENO_DEV`, in base64 of JSON. */
import type { NodeKeys } from "#scripts/config/keys.ts";
import { KEY_FILES } from "#scripts/workerd/added.ts";
import type { BindingSpec, Usage, WorkerSpec } from "#scripts/workerd/spec.ts";

export type KeyKind = "hmac" | "p256" | "ed25519" | "ml-dsa-44";

export type GivenKey = {
  readonly name: string;
  readonly kind: KeyKind;
  readonly usages: readonly Usage[];
  /** Base64: the bytes of an HMAC key, or PKCS#8. */
  readonly material: string;
};

export type Given = {
  /** Where the program that started Wrangler serves policies and the archive; nobody else knows the path. */
  readonly endpoint: string;
  readonly keys: readonly GivenKey[];
  /** Credentials and the like, by binding. */
  readonly texts: Readonly<Record<string, string>>;
  /** Bindings that lead to a server: under `serve` each leads to its own alone, here all have the developer's network. */
  readonly reaches: readonly string[];
};

type Known = {
  readonly endpoint: string;
  readonly keys: NodeKeys;
  readonly clearance: Uint8Array;
  /** Secrets by the variables that carry them to workerd. */
  readonly environment: Readonly<Record<string, string>>;
};

/** What the bindings of all `workers` of one process come to. */
export function givenOf(workers: readonly WorkerSpec[], known: Known): Given {
  const bindings = workers.flatMap((worker) => worker.bindings);
  const keys = new Map<string, GivenKey>();
  const texts: Record<string, string> = {};
  const reaches: string[] = [];
  for (const binding of bindings) {
    switch (binding.kind) {
      case "hmac":
      case "p256":
      case "ed25519":
      case "ml-dsa-44":
        keys.set(binding.name, keyOf(binding, keys.get(binding.name), known));
        break;
      case "text":
        texts[binding.name] =
          "literal" in binding.content
            ? binding.content.literal
            : publicOf(binding.content.embed, known.keys);
        break;
      case "environment":
        texts[binding.name] = known.environment[binding.variable] ?? "";
        break;
      case "service":
        if (binding.entrypoint === undefined) reaches.push(binding.name);
        break;
      case "json":
      case "namespace":
        break;
    }
  }
  return { endpoint: known.endpoint, keys: [...keys.values()], texts, reaches };
}

type KeyBinding = Extract<BindingSpec, { readonly kind: KeyKind }>;

/** One Worker has the usages of all services: what only the recorder may sign, egress could as well. */
function keyOf(
  { name, kind, usages, embed }: KeyBinding,
  before: GivenKey | undefined,
  { keys, clearance }: Known,
): GivenKey {
  const bytes = {
    [KEY_FILES.clearance]: clearance,
    [KEY_FILES.pseudonym]: keys.pseudonym,
    [KEY_FILES.sealKey]: derOf(keys.sealPem),
    [KEY_FILES.logKey]: derOf(keys.logPem),
    [KEY_FILES.logPqKey]: derOf(keys.logPqPem),
    [KEY_FILES.previousLogKey]: keys.previous && derOf(keys.previous.logPem),
    [KEY_FILES.previousLogPqKey]: keys.previous && derOf(keys.previous.logPqPem),
  }[embed];
  if (bytes === undefined) throw new Error(`npm run dev does not know the key ${embed}`);
  return {
    name,
    kind,
    usages: [...new Set([...(before?.usages ?? []), ...usages])],
    material: Buffer.from(bytes).toString("base64"),
  };
}

const derOf = (pem: string): Uint8Array => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");

function publicOf(embed: string, keys: NodeKeys): string {
  const text = {
    [KEY_FILES.sealPub]: keys.sealPub,
    [KEY_FILES.logPub]: keys.logPub,
    [KEY_FILES.logPqPub]: keys.logPqPub,
    [KEY_FILES.previousLogPub]: keys.previous?.logPub,
    [KEY_FILES.previousLogPqPub]: keys.previous?.logPqPub,
  }[embed];
  if (text === undefined) throw new Error(`npm run dev does not know the text ${embed}`);
  return text;
}

export const encoded = (given: Given): string => Buffer.from(JSON.stringify(given)).toString("base64");
