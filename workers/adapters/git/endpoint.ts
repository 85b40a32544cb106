/** Which repository and which step of smart HTTP (gitprotocol-http(5)) a request is for. */
import type { GitService } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";

export type Endpoint = {
  /**
   * What policies and frames call the repository: its decoded path without slashes at the ends and without one
   * trailing `.git`. Servers open `x` and `x.git` as the same repository, so one policy must cover both.
   * Letters keep their case: a server that ignores case needs policies that do.
   */
  readonly repository: string;
  readonly service: GitService;
  readonly step: "refs" | "rpc";
  /** What goes upstream: the path that was decided upon, encoded anew, with its query. */
  readonly path: string;
  /** The repository's path as asked, decoded, with its leading slash and with `.git` when the client said so. */
  readonly asked: string;
};

const RPC = /^(.*)\/(git-upload-pack|git-receive-pack)$/s;
const REFS = /^(.*)\/info\/refs$/s;
const SERVICE_QUERY = /^\?service=(git-upload-pack|git-receive-pack)$/;

/** `path` and `query` as the client sent them below the connection, percent-encoding untouched. */
export function endpointOf(method: string, path: string, query: string): Endpoint {
  const refs = REFS.exec(path);
  if (refs) return refsEndpoint(method, refs[1] ?? "", query);
  const rpc = RPC.exec(path);
  if (rpc && method === "POST") {
    if (query !== "") throw new Refusal("unknown_path", "A git request has no query here.");
    return endpoint(rpc[1] ?? "", rpc[2] as GitService, "rpc");
  }
  throw new Refusal(
    "unknown_path",
    "This address takes git over smart HTTP and Git LFS: clone, fetch and push, nothing else.",
  );
}

function refsEndpoint(method: string, repository: string, query: string): Endpoint {
  if (method !== "GET") throw new Refusal("unknown_path", "References are asked for by GET.");
  const service = SERVICE_QUERY.exec(query)?.[1];
  if (service === undefined) {
    throw new Refusal(
      "unknown_path",
      "Only smart HTTP passes this gateway: info/refs needs the query ?service=git-upload-pack or git-receive-pack alone.",
    );
  }
  return endpoint(repository, service as GitService, "refs");
}

function endpoint(raw: string, service: GitService, step: Endpoint["step"]): Endpoint {
  const { repository, base, asked } = repositoryOf(raw);
  const path = step === "refs" ? `${base}/info/refs?service=${service}` : `${base}/${service}`;
  return { repository, service, step, path, asked };
}

/** The repository that a path names, percent-encoding untouched; `base` is that path encoded anew. Throws `Refusal`. */
export function repositoryOf(
  raw: string,
): Pick<Endpoint, "repository" | "asked"> & { readonly base: string } {
  const segments = segmentsOf(raw);
  const last = segments.at(-1) ?? "";
  const repository = [...segments.slice(0, -1), last.replace(/\.git$/, "")].join("/");
  const base = segments.map((segment) => `/${encodeURIComponent(segment)}`).join("");
  return { repository, base, asked: `/${segments.join("/")}` };
}

function segmentsOf(raw: string): readonly string[] {
  if (!raw.startsWith("/")) throw new Refusal("unknown_path", "The address names no repository.");
  if (raw.length > 2048) throw new Refusal("unknown_path", "The repository's path is too long.");
  return raw.slice(1).split("/").map(segmentOf);
}

const notText = (cause: unknown) =>
  new Refusal("malformed", "The repository's path is not percent-encoded UTF-8.", { cause });

/**
 * One segment, decoded once. Refused is whatever an upstream could read as another path than the one decided upon:
 * dots, slashes and percent signs that appear by decoding, `;` parameters, backslashes, control characters,
 * a name that composes differently (Unicode NFC), an option (`-x`), a repository's own `.git` directory.
 */
function segmentOf(raw: string): string {
  let segment: string;
  try {
    segment = decodeURIComponent(raw);
  } catch (cause) {
    throw notText(cause);
  }
  const odd =
    segment === "" ||
    segment === "." ||
    segment === ".." ||
    segment.toLowerCase() === ".git" ||
    segment.startsWith("-") ||
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    /[/\\%;\u0000-\u001f\u007f-\u009f\ufffd\ufeff]/.test(segment) ||
    segment.normalize("NFC") !== segment;
  if (odd) throw new Refusal("malformed", "The repository's path has a part that is not allowed.");
  return segment;
}
