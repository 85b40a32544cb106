/** The recorder's entrypoint for the gateway: definitions of MCP tools, as they were seen first or approved last. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";
import type { ConnectionName } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Answer } from "#durable/format/tape.ts";
import { pinsOf } from "#durable/stubs.ts";
import type { Pins as PinsContract } from "#workers/contract/recorder.ts";
import { type Env, recorderEnv } from "../env.ts";
import { no, recorded } from "../recorder.ts";

export class Pins extends WorkerEntrypoint<Env> implements PinsContract {
  async known(
    connection: ConnectionName,
    principal: Principal,
    tools: readonly string[],
  ): Promise<Answer<readonly (Known | null)[]>> {
    return recorded(async () => ({ ok: await this.#pins().known(connection, principal, tools) }));
  }

  async learn(
    connection: ConnectionName,
    principal: Principal,
    shown: readonly Definition[],
  ): Promise<Answer<readonly PinState[]>> {
    return recorded<readonly PinState[]>(async () => {
      const learnt = await this.#pins().learn(connection, principal, shown);
      return learnt ? { ok: learnt } : no("upstream_protocol", "the server has had too many tools");
    });
  }

  async opened(
    connection: ConnectionName,
    principal: Principal,
    serverSession: string,
  ): Promise<Answer<null>> {
    return recorded<null>(async () => {
      await this.#pins().opened(connection, principal, serverSession);
      return { ok: null };
    });
  }

  async isOwn(
    connection: ConnectionName,
    principal: Principal,
    serverSession: string,
  ): Promise<Answer<boolean>> {
    return recorded(async () => ({ ok: await this.#pins().isOwn(connection, principal, serverSession) }));
  }

  #pins() {
    return pinsOf(recorderEnv(this.env).directory);
  }
}
