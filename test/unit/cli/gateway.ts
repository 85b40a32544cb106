/** A web server on loopback that answers with an app, and a terminal that keeps what is written to it. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Terminal } from "#scripts/cli/terminal.ts";

export type Served = { readonly url: string; stop(): Promise<void> };

export async function served(answer: (request: Request) => Response | Promise<Response>): Promise<Served> {
  const server = createServer(async (incoming, outgoing) => {
    const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [
      name,
      String(value),
    ]);
    const { method = "GET", url = "/" } = incoming;
    const response = await answer(new Request(`http://gateway${url}`, { method, headers }));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(await response.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

export class Kept implements Terminal {
  readonly printed: string[] = [];
  readonly complaints: string[] = [];
  readonly env: Readonly<Record<string, string | undefined>>;
  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.env = env;
  }
  readonly out = (line: string): void => void this.printed.push(line);
  readonly err = (line: string): void => void this.complaints.push(line);
}
