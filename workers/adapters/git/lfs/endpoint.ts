/** Which step of Git LFS a request is for: the batch API, the basic transfer, locks (api of git-lfs). */
import type { GitLfsLocks, LfsObject } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { repositoryOf } from "../endpoint.ts";

export type LfsStep =
  | { readonly step: "batch" }
  | { readonly step: "object"; readonly action: "download" | "upload"; readonly object: LfsObject }
  | { readonly step: "verify"; readonly object: LfsObject }
  | { readonly step: "locks"; readonly method: GitLfsLocks["method"]; readonly id?: string };

export type LfsEndpoint = {
  /** As in `Endpoint`: what policies and frames call the repository. */
  readonly repository: string;
  readonly step: LfsStep;
  /** What goes to egress: the path that was decided upon, encoded anew, with its query. */
  readonly path: string;
};

/** Objects of one batch. Clients ask for 100 at a time. */
export const OBJECTS_MAX = 1_000;

const LFS = /^(.*)\/info\/lfs(?:\/(.*))?$/s;
const OBJECT = /^objects\/([0-9a-f]{64})\/(0|[1-9]\d{0,15})(\/verify)?$/;
const UNLOCK = /^locks\/([A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127})\/unlock$/;
/** What egress gave out, in a batch's answer: where the object is and what its server wants, sealed. */
const TICKET = /^\?ticket=[A-Za-z0-9_-]{1,12000}$/;
/** Of a list of locks (git-lfs, File Locking API); each is at most this long. */
const FILTERS: ReadonlySet<string> = new Set(["path", "id", "cursor", "limit", "refspec"]);
const FILTER_MAX = 4_096;

export const isLfs = (path: string): boolean => LFS.test(path);

/** `path` and `query` as the client sent them below the connection, percent-encoding untouched. Throws `Refusal`. */
export function lfsEndpointOf(method: string, path: string, query: string): LfsEndpoint {
  const [, raw = "", rest = ""] = LFS.exec(path) ?? [];
  const { repository, base } = repositoryOf(raw);
  const at = (step: LfsStep, sent = ""): LfsEndpoint => ({
    repository,
    step,
    path: `${base}/info/lfs/${rest}${sent}`,
  });
  const object = OBJECT.exec(rest);
  if (object) {
    if (!TICKET.test(query))
      throw new Refusal(
        "unknown_path",
        "Ask the batch API where an object is: its address is only good whole.",
      );
    return at(objectStep(method, object), query);
  }
  if (rest === "locks" && method === "GET") return at({ step: "locks", method: "list" }, filtersOf(query));
  if (query !== "") throw new Refusal("unknown_path", "This Git LFS request has no query.");
  if (method !== "POST") throw unknownStep();
  if (rest === "objects/batch") return at({ step: "batch" });
  if (rest === "locks") return at({ step: "locks", method: "create" });
  if (rest === "locks/verify") return at({ step: "locks", method: "verify" });
  const id = UNLOCK.exec(rest)?.[1];
  if (id !== undefined) return at({ step: "locks", method: "unlock", id });
  throw unknownStep();
}

function objectStep(method: string, [, oid = "", length = "", verify]: RegExpExecArray): LfsStep {
  const size = Number(length);
  if (!Number.isSafeInteger(size)) throw new Refusal("malformed", "The object's size is not a number.");
  const object = { oid, size };
  if (verify !== undefined && method === "POST") return { step: "verify", object };
  if (verify === undefined && method === "GET") return { step: "object", action: "download", object };
  if (verify === undefined && method === "PUT") return { step: "object", action: "upload", object };
  throw unknownStep();
}

/** The query encoded anew, each filter once: servers differ in which of two they take. */
function filtersOf(query: string): string {
  const asked = new URLSearchParams(query);
  const names = [...asked.keys()];
  const odd = names.some((name) => !FILTERS.has(name)) || new Set(names).size !== names.length;
  if (odd || [...asked.values()].some((value) => value.length > FILTER_MAX || value.includes("\ufffd")))
    throw new Refusal("malformed", "A list of locks takes path, id, cursor, limit and refspec, each once.");
  return names.length === 0 ? "" : `?${asked}`;
}

const unknownStep = () =>
  new Refusal(
    "unknown_path",
    "Of Git LFS the batch API, its objects and locks pass this gateway, nothing else.",
  );
