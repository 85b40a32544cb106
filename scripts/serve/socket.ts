/** Listening sockets that this program makes and workerd accepts on: they outlive every single workerd. */
import { renameSync, rmSync } from "node:fs";
import net from "node:net";
import { type Address, showAddress } from "#scripts/config/values.ts";

/** A bound socket that listens, and that nobody here accepts on. Give its descriptor to a child, then release it. */
export type Listening = { readonly fd: number; readonly address: Address; release(): void };

// Node has no public way to make a socket without accepting on it; these names are the same from Node 12 to 24.
type Handle = {
  readonly fd: number;
  listen(backlog: number): number;
  close(): void;
  getsockname(out: { address?: string; port?: number }): number;
};
type Maker = (host: string, port: number, family: number, fd: number, flags?: number) => Handle | number;
const makeHandle = (net as unknown as { _createServerHandle: Maker })._createServerHandle;

const BACKLOG = 511;
/** libuv's UV_TCP_REUSEPORT: the kernel spreads connections over all sockets bound so to one address. */
const REUSEPORT = 2;

/** Must be given away and released in the same turn of the event loop, or Node accepts connections itself. */
export function listenOn(address: Address, shared: boolean): Listening {
  const family = address.host.includes(":") ? 6 : 4;
  const handle = makeHandle(address.host, address.port, family, -1, shared ? REUSEPORT : 0);
  const at = showAddress(address);
  if (typeof handle === "number") throw new ListenFault(`cannot listen on ${at}: ${errorName(handle)}`);
  const bound: { port?: number } = {};
  handle.getsockname(bound);
  return listening(handle, at, { host: address.host, port: bound.port ?? address.port });
}

/** Replaces a socket file that an earlier run left behind. */
export function listenOnPath(path: string): Listening {
  // libuv unlinks the name it bound when it closes; the socket lives on under the other name.
  const bound = `${path}.new`;
  rmSync(bound, { force: true });
  const handle = makeHandle(bound, -1, -1, -1);
  if (typeof handle === "number") throw new ListenFault(`cannot listen on ${path}: ${errorName(handle)}`);
  const made = listening(handle, path, { host: path, port: 0 });
  renameSync(bound, path);
  return made;
}

export class ListenFault extends Error {
  override readonly name = "ListenFault";
}

function listening(handle: Handle, at: string, address: Address): Listening {
  const failure = handle.listen(BACKLOG);
  if (failure !== 0) {
    handle.close();
    throw new ListenFault(`cannot listen on ${at}: ${errorName(failure)}`);
  }
  return { fd: handle.fd, address, release: () => handle.close() };
}

function errorName(code: number): string {
  const names: Readonly<Record<number, string>> = {
    [-98]: "the address is in use",
    [-13]: "permission denied",
    [-99]: "this machine does not have that address",
  };
  return names[code] ?? `error ${code}`;
}
