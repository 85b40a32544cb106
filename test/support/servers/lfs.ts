// A Git LFS server: batch API, basic transfer and locks, as its specification (api of git-lfs) has them. It keeps what
// it is given whether the content fits its name or not, as object stores do.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface LfsOptions {
  /** Basic, for the API; objects take only the token that a batch gave out. */
  readonly user: string;
  readonly password: string;
}

export interface LfsServer {
  readonly url: string;
  /** Objects by oid. */
  readonly objects: Map<string, Buffer>;
  /** `<method> <path>` of every request, in order. */
  readonly asked: string[];
  /** Uploads that broke off. */
  readonly cut: () => number;
  /** Where batches say objects are, instead of here. */
  elsewhere: string | undefined;
  /** Answers a request for Git LFS, and returns true; false when it is for something else. */
  answer(request: IncomingMessage, response: ServerResponse): boolean;
  stop(): Promise<void>;
}

type Lock = {
  readonly id: string;
  readonly path: string;
  readonly locked_at: string;
  readonly owner: { readonly name: string };
};

const JSON_TYPE = "application/vnd.git-lfs+json";

export async function startLfs({ user, password }: LfsOptions): Promise<LfsServer> {
  const objects = new Map<string, Buffer>();
  const locks = new Map<string, Lock>();
  const asked: string[] = [];
  let cut = 0;
  const basic = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const token = `RemoteAuth ${randomBytes(16).toString("hex")}`;

  function batch(said: Record<string, unknown>, here: string): unknown {
    const { operation, objects: wanted } = said as {
      operation: string;
      objects: { oid: string; size: number }[];
    };
    const action = (oid: string, end = "") => ({
      href: `${lfs.elsewhere ?? here}/objects/${oid}${end}?signed=upstream-secret`,
      header: { Authorization: token, "X-Object": oid },
      expires_in: 3600,
    });
    const answers = wanted.map(({ oid, size }) => {
      const there = objects.get(oid);
      if (operation === "upload")
        return there
          ? { oid, size }
          : {
              oid,
              size,
              authenticated: true,
              actions: { upload: action(oid), verify: action(oid, "/verify") },
            };
      return there
        ? { oid, size, authenticated: true, actions: { download: action(oid) } }
        : { oid, size, error: { code: 404, message: "the object is not here" } };
    });
    return { transfer: "basic", objects: answers };
  }

  async function object(
    request: IncomingMessage,
    response: ServerResponse,
    oid: string,
    verify: boolean,
  ): Promise<void> {
    if (verify) {
      const { size } = JSON.parse((await bytesOf(request)).toString()) as { size: number };
      const fits = objects.get(oid)?.byteLength === size;
      return say(response, fits ? 200 : 404, fits ? {} : { message: "the object did not arrive" });
    }
    if (request.method === "PUT") {
      try {
        objects.set(oid, await bytesOf(request));
      } catch {
        // The sender broke off: there is nobody to answer.
        cut += 1;
        return;
      }
      response.writeHead(200).end();
      return;
    }
    const bytes = objects.get(oid);
    if (!bytes) return say(response, 404, { message: "the object is not here" });
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const range = { "content-range": `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` };
    response.writeHead(from > 0 ? 206 : 200, {
      "content-type": "application/octet-stream",
      "content-length": bytes.byteLength - from,
      ...(from > 0 ? range : {}),
    });
    response.end(bytes.subarray(from));
  }

  function lock(path: string, said: Record<string, unknown>): [number, unknown] {
    const all = [...locks.values()];
    const unlocked = /^\/locks\/(.+)\/unlock$/.exec(path)?.[1];
    if (unlocked !== undefined) {
      const found = locks.get(unlocked);
      locks.delete(unlocked);
      return found ? [200, { lock: found }] : [404, { message: "there is no such lock" }];
    }
    if (path === "/locks/verify") return [200, { ours: all, theirs: [] }];
    const taken = all.find((one) => one.path === said["path"]);
    if (taken) return [409, { lock: taken, message: "it is locked already" }];
    const made: Lock = {
      id: randomBytes(4).toString("hex"),
      path: String(said["path"]),
      locked_at: "2026-01-01T00:00:00Z",
      owner: { name: user },
    };
    locks.set(made.id, made);
    return [201, { lock: made }];
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://lfs");
    const [, home = "", path = ""] = /^(.*\/info\/lfs)(\/.*)$/.exec(pathname) ?? [];
    const [, oid = "", verify] = /^\/objects\/([0-9a-f]{64})(\/verify)?$/.exec(path) ?? [];
    const given = request.headers.authorization;
    if (oid !== "") {
      const known = given === token && request.headers["x-object"] === oid && searchParams.has("signed");
      return known
        ? object(request, response, oid, verify !== undefined)
        : say(response, 403, { message: "no token" });
    }
    if (given !== basic) {
      response.setHeader("lfs-authenticate", 'Basic realm="lfs"');
      return say(response, 401, { message: "who are you?" });
    }
    if (request.method === "GET") {
      const wanted = searchParams.get("path");
      return say(response, 200, {
        locks: [...locks.values()].filter((one) => !wanted || one.path === wanted),
      });
    }
    const said = JSON.parse((await bytesOf(request)).toString()) as Record<string, unknown>;
    if (path === "/objects/batch")
      return say(response, 200, batch(said, `http://${request.headers.host}${home}`));
    const [status, body] = lock(path, said);
    return say(response, status, body);
  }

  const answer: LfsServer["answer"] = (request, response) => {
    const url = request.url ?? "";
    if (!/\/info\/lfs\//.test(url)) return false;
    asked.push(`${request.method} ${url.split("?", 1)[0]}`);
    serve(request, response).catch((cause: unknown) => response.destroy(cause as Error));
    return true;
  };
  const server = createServer((request, response) => {
    if (!answer(request, response)) response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const lfs: LfsServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    asked,
    cut: () => cut,
    elsewhere: undefined,
    answer,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return lfs;
}

function say(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": JSON_TYPE }).end(JSON.stringify(body));
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
