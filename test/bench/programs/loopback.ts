// Loaded before a server that listens on all addresses: it listens on loopback.
import { Server } from "node:net";

const { listen } = Server.prototype;
Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const [port, ...rest] = args;
  if (typeof port !== "number") return Reflect.apply(listen, this, args);
  const told = rest.filter((each) => typeof each === "function");
  return Reflect.apply(listen, this, [{ port, host: "127.0.0.1" }, ...told]);
} as typeof listen;
