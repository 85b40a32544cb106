// A real timestamp authority: `openssl ts -reply` behind HTTP, with a root of its own.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { freePort } from "./ports.ts";

export type TsaFiles = {
  readonly directory: string;
  /** PEM: the authority's certificate and its issuer's; and the issuer's alone. */
  readonly chain: string;
  readonly root: string;
};

const CONFIG = `[tsa]
default_tsa = t
[t]
serial = ./serial
signer_cert = ./tsa.crt
certs = ./root.crt
signer_key = ./tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`;

/** Keys and certificates of a new authority, made by openssl. */
export function makeTsa(directory: string, kind: "ec" | "rsa" = "ec"): TsaFiles {
  mkdirSync(directory, { recursive: true });
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const key =
    kind === "ec" ? ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] : ["-newkey", "rsa:2048"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  openssl(
    ...["req", "-x509", ...key, "-nodes", "-keyout", "root.key", "-out", "root.crt", "-days", "30"],
    ...["-subj", "/O=Example/CN=TSA root", "-addext", "basicConstraints=critical,CA:TRUE", ...usage],
  );
  openssl("req", ...key, "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/O=Example/CN=TSA");
  writeFileSync(
    join(directory, "extensions"),
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n" +
      "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
  );
  openssl(
    ...["x509", "-req", "-in", "tsa.csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial"],
    ...["-days", "30", "-sha256", "-extfile", "extensions", "-out", "tsa.crt"],
  );
  writeFileSync(join(directory, "config"), CONFIG);
  writeFileSync(join(directory, "serial"), "01\n");
  const read = (name: string) => readFileSync(join(directory, name), "utf8");
  const chain = join(directory, "chain.pem");
  writeFileSync(chain, read("tsa.crt") + read("root.crt"));
  return { directory, chain, root: join(directory, "root.crt") };
}

/** The answer of `openssl ts` to a request. */
export function replyTo({ directory }: TsaFiles, query: Uint8Array): Buffer {
  writeFileSync(join(directory, "query"), query);
  execFileSync("openssl", ["ts", "-reply", "-config", "config", "-queryfile", "query", "-out", "reply"], {
    cwd: directory,
    stdio: "pipe",
  });
  return readFileSync(join(directory, "reply"));
}

/** What `openssl ts -verify` says of a reply over data: the root alone is trusted. */
export function opensslVerifies({ directory, root }: TsaFiles, reply: Uint8Array, data: Uint8Array): boolean {
  writeFileSync(join(directory, "token"), reply);
  writeFileSync(join(directory, "data"), data);
  try {
    const args = ["ts", "-verify", "-data", "data", "-in", "token", "-CAfile", root];
    execFileSync("openssl", [...args, "-untrusted", "chain.pem"], { cwd: directory, stdio: "pipe" });
    return true;
  } catch {
    // It says no with its exit code.
    return false;
  }
}

export interface TsaServer {
  readonly url: string;
  readonly files: TsaFiles;
  /** Content types of the requests, in order. */
  readonly asked: (string | undefined)[];
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTsa(directory: string): Promise<TsaServer> {
  const files = makeTsa(directory);
  const asked: (string | undefined)[] = [];
  const port = await freePort();
  const make = () =>
    createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const chunk of request) parts.push(chunk as Buffer);
      asked.push(request.headers["content-type"]);
      response.writeHead(200, { "content-type": "application/timestamp-reply" });
      response.end(replyTo(files, Buffer.concat(parts)));
    });
  let server = make();
  const listen = () => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  await listen();
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tsr`,
    files,
    asked,
    async start() {
      server = make();
      await listen();
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
