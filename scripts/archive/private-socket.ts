/** A unix socket that is its owner's alone. */
import { once } from "node:events";
import { mkdir, unlink } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";

/** Its folder is made 0700 when it does not exist. Throws when somebody serves it already. */
export async function listenPrivately(server: Server, socket: string): Promise<void> {
  await mkdir(dirname(socket), { recursive: true, mode: 0o700 });
  await removeStale(socket);
  const listening = once(server, "listening");
  // The socket is made during the call, so nothing else in the program is made under this mask.
  const mask = process.umask(0o077);
  server.listen(socket);
  process.umask(mask);
  await listening;
}

async function removeStale(socket: string): Promise<void> {
  const refused = await new Promise<string>((resolve, reject) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      reject(new Error(`${socket} is being served already`));
    });
    probe.once("error", (cause) => resolve(errorCode(cause) ?? ""));
  });
  if (refused === "ECONNREFUSED") await unlink(socket);
}

const errorCode = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
