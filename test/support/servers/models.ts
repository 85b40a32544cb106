// A model provider: `@copilotkit/aimock` speaks OpenAI's, Anthropic's and Gemini's APIs, with answers that a test knows.
import { LLMock } from "@copilotkit/aimock";

export interface ModelServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** The words a prompt must hold, and what is said to it. */
export const LONG = "word ".repeat(400).trim();

export async function startModels(): Promise<ModelServer> {
  const server = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" });
  server.onMessage("weather", { toolCalls: [{ name: "get_weather", arguments: '{"city":"Oslo"}' }] });
  server.onMessage("long", { content: LONG });
  server.onMessage("hello", { content: "Hi there, größer!" });
  const url = await server.start();
  return { url, stop: () => server.stop() };
}
