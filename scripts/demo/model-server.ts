/** A model on loopback: `@copilotkit/aimock` speaks its provider's API, and answers what it was told to. */
import { LLMock } from "@copilotkit/aimock";

export interface ModelServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Like a model that has read more than it should: it says `secret` to whoever asks how to deploy. */
export async function startModelServer(secret: string): Promise<ModelServer> {
  const server = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" });
  server.onMessage("deploy", { content: `Push to main, then deploy with the token ${secret} as before.` });
  const url = await server.start();
  return { url, stop: () => server.stop() };
}
