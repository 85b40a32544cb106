// nginx with a given configuration, alone or in front of CGI programs run by fcgiwrap.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, type Child, startChild, until } from "./children.ts";

export interface NginxOptions {
  readonly directory: string;
  readonly port: number;
  /** What goes into the http block: maps, upstreams and servers. */
  readonly http: string;
  readonly workers?: number;
}

export interface CgiSite extends NginxOptions {
  /** Runs at most this many CGI programs at a time. */
  readonly parallel?: number;
}

/** The socket that `fastcgi_pass` names inside a directory. */
export const cgiSocket = (directory: string): string => `unix:${join(directory, "cgi.sock")}`;

/** What a CGI program hears of the request. Repeated in every location: one of its own parameters drops those above. */
export const cgiParameters = [
  "REQUEST_METHOD $request_method",
  "QUERY_STRING $query_string",
  "CONTENT_TYPE $content_type",
  "CONTENT_LENGTH $content_length",
  "HTTP_CONTENT_ENCODING $http_content_encoding",
  "HTTP_GIT_PROTOCOL $http_git_protocol",
  "GIT_PROTOCOL $http_git_protocol",
  "REMOTE_USER $remote_user",
  "REMOTE_ADDR $remote_addr",
  "REQUEST_URI $request_uri",
  "SERVER_PROTOCOL $server_protocol",
  "GIT_HTTP_EXPORT_ALL 1",
]
  .map((parameter) => `fastcgi_param ${parameter};`)
  .join(" ");

/** Bodies of any size pass through without being gathered first. */
export const cgiStreaming =
  "client_max_body_size 0; fastcgi_request_buffering off; fastcgi_buffering off; fastcgi_read_timeout 600;";

const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

export async function startNginx(options: NginxOptions): Promise<Child> {
  const { directory, port, http, workers = 1 } = options;
  const scratch = join(directory, "nginx");
  mkdirSync(scratch, { recursive: true });
  const owner = process.getuid?.() === 0 ? "user root;" : "";
  const file = join(scratch, "nginx.conf");
  writeFileSync(
    file,
    `${owner} daemon off; worker_processes ${workers}; pid ${scratch}/pid; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off; default_type application/octet-stream; sendfile on; tcp_nopush on;
  keepalive_requests 1000000; keepalive_timeout 600;
  ${temporary.map((kind) => `${kind}_temp_path ${scratch}/${kind};`).join(" ")}
  ${http}
}
`,
  );
  const child = startChild("nginx", ["-e", "stderr", "-p", scratch, "-c", file], {
    log: join(scratch, "log"),
  });
  try {
    await until(() => accepts(port), "nginx", [child]);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return child;
}

/** fcgiwrap and nginx before it; stopping ends both. */
export async function startCgiSite(options: CgiSite): Promise<{ stop(): Promise<void> }> {
  const { directory, parallel = 8 } = options;
  const wrapper = startChild("fcgiwrap", ["-f", "-c", String(parallel), "-s", cgiSocket(directory)], {
    log: join(directory, "cgi.log"),
  });
  const stop = async (nginx?: Child): Promise<void> => {
    await nginx?.stop();
    await wrapper.stop();
  };
  try {
    await until(() => accepts(join(directory, "cgi.sock")), "fcgiwrap", [wrapper]);
    const nginx = await startNginx(options);
    return { stop: () => stop(nginx) };
  } catch (error) {
    await stop();
    throw error;
  }
}
