/**
 * An S3 store for tests: versions, Object Lock and a programme of faults, in memory. It passes `s3Contract`, which the
 * real Ceph passes too. It checks access keys and Content-MD5, and not signatures.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to the next request of a method, once. */
export type Fault =
  /** Answered with this status, nothing kept. */
  | { readonly status: 409 | 412 | 500 | 503 }
  /** The connection is reset before, or after, the object was kept. */
  | { readonly reset: "before" | "after" }
  /** Never answered; the object is kept or not. */
  | { readonly silence: "kept" | "lost" }
  | { readonly slowMs: number }
  /** Says 200 and keeps something else than was sent. */
  | { readonly keeps: "other bytes" | "nothing" | "no retention" | "a shorter retention" | "GOVERNANCE" }
  /** LIST only: a cut page that does not say where it goes on, the same page for ever, or another order. */
  | { readonly page: "without a marker" | "again" | "unordered" }
  /** GET only: the body ends halfway, or stalls there. */
  | { readonly body: "ends" | "stalls" };

type Version = { id: string; bytes: Buffer; mode?: string; until?: number; marker: boolean };
type Bucket = { readonly locks: boolean; readonly keys: Map<string, Version[]> };

export type Call = "PUT" | "GET" | "LIST" | "RETAIN";

export class FakeS3 {
  readonly accessKeyId = "fake-key";
  readonly secretAccessKey = "fake-secret";
  readonly region = "us-east-1";
  /** Requests as they came, `PUT /bucket/key`. */
  readonly seen: string[] = [];
  /** Headers of the latest PUT of an object. */
  put: IncomingMessage["headers"] = {};
  endpoint = "";
  readonly #honoursIfNoneMatch: boolean;
  readonly #buckets = new Map<string, Bucket>();
  readonly #faults: { method: Call; fault: Fault }[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #made = 0;

  constructor(options: { readonly honoursIfNoneMatch: boolean }) {
    this.#honoursIfNoneMatch = options.honoursIfNoneMatch;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.endpoint = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  makeBucket(name: string, options: { readonly locks: boolean }): void {
    this.#buckets.set(name, { locks: options.locks, keys: new Map() });
  }

  /** Faults meet requests of their method in the order they were given. */
  next(method: Call, ...faults: Fault[]): void {
    for (const fault of faults) this.#faults.push({ method, fault });
  }

  /** Versions of a key, oldest first, delete markers left out. */
  kept(bucket: string, key: string): Buffer[] {
    const versions = this.#buckets.get(bucket)?.keys.get(key) ?? [];
    return versions.filter((version) => !version.marker).map((version) => version.bytes);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "", this.endpoint);
    const method = request.method ?? "";
    this.seen.push(`${method} ${url.pathname}${url.searchParams.has("versions") ? "?versions" : ""}`);
    const call = url.searchParams.has("versions")
      ? "LIST"
      : url.searchParams.has("retention")
        ? "RETAIN"
        : method;
    const at = this.#faults.findIndex((planned) => planned.method === call);
    const [planned] = at < 0 ? [] : this.#faults.splice(at, 1);
    await this.#meet(planned?.fault, request, response, url, Buffer.concat(chunks));
  }

  async #meet(
    fault: Fault | undefined,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    body: Buffer,
  ): Promise<void> {
    if (fault && "status" in fault) return fail(response, fault.status, "Planned", "as the test asked");
    if (fault && "reset" in fault && fault.reset === "before") return void request.socket.resetAndDestroy();
    if (fault && "silence" in fault && fault.silence === "lost") return;
    if (fault && "slowMs" in fault) await new Promise((resolve) => setTimeout(resolve, fault.slowMs));
    const answer = this.#answer(request, url, body, fault);
    if (fault && "reset" in fault) return void request.socket.resetAndDestroy();
    if (fault && "silence" in fault) return;
    if (answer.error) return fail(response, answer.status, answer.error, answer.error);
    response.writeHead(answer.status, { ...answer.headers, "content-length": answer.body.length });
    if (fault && "body" in fault) {
      response.write(answer.body.subarray(0, answer.body.length / 2));
      if (fault.body === "ends") setTimeout(() => request.socket.resetAndDestroy(), 20);
      return;
    }
    response.end(request.method === "HEAD" ? undefined : answer.body);
  }

  #answer(request: IncomingMessage, url: URL, body: Buffer, fault: Fault | undefined): Answer {
    const authorization = request.headers.authorization ?? "";
    if (!authorization.includes(`Credential=${this.accessKeyId}/`)) return no(403, "InvalidAccessKeyId");
    const [, name = "", ...rest] = url.pathname.split("/");
    const key = rest.map(decodeURIComponent).join("/");
    const bucket = this.#buckets.get(name);
    if (!bucket) return no(404, "NoSuchBucket");
    if (url.searchParams.has("versions")) return listVersions(bucket, url.searchParams, fault);
    const versions = bucket.keys.get(key) ?? [];
    const wanted = url.searchParams.get("versionId");
    const found = wanted === null ? versions.at(-1) : versions.find((version) => version.id === wanted);
    switch (request.method) {
      case "PUT":
        if (url.searchParams.has("retention")) {
          return fault && "keeps" in fault ? ok(Buffer.alloc(0)) : retain(found, body.toString());
        }
        return this.#put(bucket, key, request, body, fault);
      case "DELETE":
        return wanted === null ? this.#mark(bucket, key) : remove(versions, found);
      default:
        return !found || found.marker ? no(404, "NoSuchKey") : ok(found.bytes, headersOf(found));
    }
  }

  #put(
    bucket: Bucket,
    key: string,
    request: IncomingMessage,
    sent: Buffer,
    fault: Fault | undefined,
  ): Answer {
    const { headers } = request;
    this.put = headers;
    const md5 = headers["content-md5"];
    if (md5 !== undefined && md5 !== createHash("md5").update(sent).digest("base64"))
      return no(400, "BadDigest");
    const versions = bucket.keys.get(key) ?? [];
    const current = versions.at(-1);
    if (this.#honoursIfNoneMatch && headers["if-none-match"] === "*" && current && !current.marker) {
      return no(412, "PreconditionFailed");
    }
    const mode = headers["x-amz-object-lock-mode"];
    const date = headers["x-amz-object-lock-retain-until-date"];
    if (mode !== undefined && !bucket.locks) return no(400, "InvalidRequest");
    const keeps = fault && "keeps" in fault ? fault.keeps : undefined;
    const version: Version = { id: bucket.locks ? `v${++this.#made}` : "null", bytes: sent, marker: false };
    if (mode !== undefined && keeps !== "no retention") {
      version.mode = keeps === "GOVERNANCE" ? keeps : String(mode);
      version.until = Date.parse(String(date)) - (keeps === "a shorter retention" ? 2 * 86_400_000 : 0);
    }
    if (keeps === "other bytes") version.bytes = Buffer.from(sent).fill(0x21, 0, 1);
    if (keeps !== "nothing") bucket.keys.set(key, bucket.locks ? [...versions, version] : [version]);
    return ok(Buffer.alloc(0), bucket.locks ? { "x-amz-version-id": version.id } : {});
  }

  #mark(bucket: Bucket, key: string): Answer {
    const marker: Version = { id: `v${++this.#made}`, bytes: Buffer.alloc(0), marker: true };
    bucket.keys.set(key, [...(bucket.keys.get(key) ?? []), marker]);
    return { ...ok(Buffer.alloc(0), { "x-amz-delete-marker": "true" }), status: 204 };
  }
}

type Answer = { status: number; error: string; body: Buffer; headers: Record<string, string> };

const ok = (body: Buffer, headers: Record<string, string> = {}): Answer => ({
  status: 200,
  error: "",
  body,
  headers,
});
const no = (status: number, error: string): Answer => ({ status, error, body: Buffer.alloc(0), headers: {} });

function headersOf(version: Version): Record<string, string> {
  return {
    "x-amz-version-id": version.id,
    ...(version.mode ? { "x-amz-object-lock-mode": version.mode } : {}),
    ...(version.until
      ? { "x-amz-object-lock-retain-until-date": new Date(version.until).toISOString() }
      : {}),
  };
}

function retain(version: Version | undefined, xml: string): Answer {
  if (!version) return no(404, "NoSuchKey");
  const mode = /<Mode>(.*?)<\/Mode>/.exec(xml)?.[1] ?? "";
  const until = Date.parse(/<RetainUntilDate>(.*?)<\/RetainUntilDate>/.exec(xml)?.[1] ?? "");
  const shortens = version.mode === "COMPLIANCE" && (mode !== "COMPLIANCE" || until < (version.until ?? 0));
  if (shortens) return no(403, "AccessDenied");
  version.mode = mode;
  version.until = until;
  return ok(Buffer.alloc(0));
}

function remove(versions: Version[], version: Version | undefined): Answer {
  if (version?.mode === "COMPLIANCE" && (version.until ?? 0) > Date.now()) return no(403, "AccessDenied");
  if (version) versions.splice(versions.indexOf(version), 1);
  return { ...ok(Buffer.alloc(0)), status: 204 };
}

function listVersions(bucket: Bucket, query: URLSearchParams, fault: Fault | undefined): Answer {
  const turn = fault && "page" in fault ? fault.page : undefined;
  const prefix = query.get("prefix") ?? "";
  const keys = [...bucket.keys.keys()]
    .filter((key) => key.startsWith(prefix))
    .sort((a, b) => (a < b ? -1 : 1));
  const all = keys.flatMap((key) =>
    (bucket.keys.get(key) ?? []).map((version) => ({ key, version })).reverse(),
  );
  const [afterKey, afterId] = [query.get("key-marker"), query.get("version-id-marker")];
  const at = all.findIndex(({ key, version }) => key === afterKey && version.id === afterId);
  const size = Number(query.get("max-keys") ?? 1000);
  const from = afterKey === null ? 0 : turn === "again" ? Math.max(0, at + 1 - size) : at + 1;
  const page = all.slice(from, from + size);
  const last = page.at(-1);
  const cut = last !== undefined && from + page.length < all.length;
  if (turn === "unordered") page.reverse();
  const rows = page.map(({ key, version }) => {
    const row = `<Key>${key}</Key><VersionId>${version.id}</VersionId>`;
    if (version.marker) return `<DeleteMarker>${row}</DeleteMarker>`;
    const tag = createHash("md5").update(version.bytes).digest("hex");
    return `<Version>${row}<ETag>"${tag}"</ETag><Size>${version.bytes.length}</Size></Version>`;
  });
  const next =
    cut && turn !== "without a marker"
      ? `<NextKeyMarker>${last.key}</NextKeyMarker><NextVersionIdMarker>${last.version.id}</NextVersionIdMarker>`
      : "";
  const xml = `<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${cut}</IsTruncated>${next}${rows.join("")}</ListVersionsResult>`;
  return ok(Buffer.from(xml), { "content-type": "application/xml" });
}

function fail(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
}
