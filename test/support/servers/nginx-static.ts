// nginx for the bench: an upstream that answers as fast as anything can, and a plain reverse proxy to compare with.
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, type Child, startChild, until, workspace } from "./children.ts";
import { startNginx } from "./nginx.ts";
import { freePort } from "./ports.ts";

export interface StaticOptions {
  readonly directory?: string;
  readonly workers?: number;
  /** Size of the file at `bigUrl`. */
  readonly bigMegabytes?: number;
}

export interface StaticServer {
  readonly url: string;
  /** A Git remote: its `info/refs?service=git-upload-pack` is one small canned answer. */
  readonly remoteUrl: string;
  /** GET or POST: 1 KiB of JSON. */
  readonly smallUrl: string;
  /** GET: `bigMegabytes` of zero bytes, from a sparse file by sendfile. */
  readonly bigUrl: string;
  /** POST or PUT: reads the body to its end and answers `{"received":<bytes>}`. */
  readonly sinkUrl: string;
  stop(): Promise<void>;
}

export interface ProxyServer {
  readonly url: string;
  stop(): Promise<void>;
}

const packetLine = (line: string): string => (line.length + 4).toString(16).padStart(4, "0") + line;

/** What a server with one branch advertises, protocol version 0. */
export function cannedRefs(): string {
  const id = "5ca1ab1e".repeat(5);
  const capabilities = "multi_ack_detailed side-band-64k ofs-delta shallow no-progress agent=git/canned";
  const head = packetLine(`${id} HEAD\0${capabilities} symref=HEAD:refs/heads/main\n`);
  return `${packetLine("# service=git-upload-pack\n")}0000${head}${packetLine(`${id} refs/heads/main\n`)}0000`;
}

/** Bodies pass through as they come, over connections that stay open. */
const unbuffered = `client_max_body_size 0; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600; proxy_send_timeout 600;`;

async function stopAll(children: readonly Child[], remove: () => void): Promise<void> {
  await Promise.all(children.map((child) => child.stop()));
  remove();
}

export async function startNginxStatic(options: StaticOptions = {}): Promise<StaticServer> {
  const { workers = 1, bigMegabytes = 256 } = options;
  const home = workspace("nginx-static", options.directory);
  const [port, sinkPort] = [await freePort(), await freePort()];
  const files = join(home.path, "files");
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, "refs"), cannedRefs());
  const big = openSync(join(files, "big"), "w");
  ftruncateSync(big, bigMegabytes * 1024 ** 2);
  closeSync(big);
  const kibibyte = JSON.stringify({ filler: "" }).replace('""', `"${"x".repeat(1024 - 13)}"`);
  const program = new URL("../sink.ts", import.meta.url).pathname;
  const sink = startChild(process.execPath, [program, String(sinkPort)], {
    log: join(home.path, "sink.log"),
  });
  const children = [sink];
  try {
    await until(() => accepts(sinkPort), "sink", [sink]);
    const nginx = await startNginx({
      directory: home.path,
      port,
      workers,
      http: `upstream sink { server 127.0.0.1:${sinkPort}; keepalive 64; }
server { listen 127.0.0.1:${port} backlog=1024; client_max_body_size 0;
  location = /repo.git/info/refs {
    types { } default_type application/x-git-upload-pack-advertisement; add_header Cache-Control no-cache;
    alias ${files}/refs;
  }
  location = /small { default_type application/json; return 200 '${kibibyte}'; }
  location = /big { alias ${files}/big; }
  location = /sink { ${unbuffered} proxy_pass http://sink; }
}`,
    });
    children.push(nginx);
  } catch (error) {
    await stopAll(children, home.remove);
    throw error;
  }
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    remoteUrl: `${url}/repo.git`,
    smallUrl: `${url}/small`,
    bigUrl: `${url}/big`,
    sinkUrl: `${url}/sink`,
    stop: () => stopAll(children, home.remove),
  };
}

/** nginx that passes everything on to an upstream (`http://host:port`), unbuffered: what a proxy costs at least. */
export async function startNginxProxy(options: {
  readonly upstream: string;
  readonly directory?: string;
  readonly workers?: number;
}): Promise<ProxyServer> {
  const home = workspace("nginx-proxy", options.directory);
  const port = await freePort();
  const { host } = new URL(options.upstream);
  try {
    const nginx = await startNginx({
      directory: home.path,
      port,
      workers: options.workers ?? 1,
      http: `upstream target { server ${host}; keepalive 64; }
server { listen 127.0.0.1:${port} backlog=1024; location / {
  ${unbuffered} proxy_set_header Host $http_host; proxy_pass http://target;
} }`,
    });
    return { url: `http://127.0.0.1:${port}`, stop: () => stopAll([nginx], home.remove) };
  } catch (error) {
    home.remove();
    throw error;
  }
}
