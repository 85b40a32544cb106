import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Message, messageOf } from "#scripts/mcp/message.ts";
import { ProgramSession } from "#scripts/programs/session.ts";

/** Longer than a pipe takes: it is still being written when the program ends. */
const LONG = 4 << 20;

test.each([
  ["and its pipe with it", "sleep 0.2; exit 3"],
  ["before its pipe does, which another has", "exec 4<&0; sleep 5 & sleep 0.2; exit 3"],
])(
  "whoever asks a program that ends without reading, %s, is answered once, with how it ended",
  async (_how, script) => {
    const command = ["sh", "-c", script];
    const program = {
      name: "closed",
      command,
      directory: "/tmp",
      environment: {},
      children: 1,
      idleSeconds: 60,
    };
    const ended = Promise.withResolvers<void>();
    const session = new ProgramSession("s-1", program, { ended: ended.resolve, told: () => undefined });
    const params = { text: "x".repeat(LONG) };
    const message = messageOf(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping", params })) as Message;
    const late: unknown[] = [];
    const server = createServer((_, response) => {
      const write = response.write.bind(response) as (piece: string) => boolean;
      response.write = (piece: string) => {
        if (response.writableEnded) late.push(piece);
        return write(piece);
      };
      void session.post(message, response);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(await answer.json()).toMatchObject({
      id: 1,
      error: { message: "the server closed is gone: it ended with 3" },
    });
    await ended.promise;
    await sleep(50);
    expect(late).toEqual([]);
    server.close();
  },
);
