/** The agent asks its model: OpenAI's own client, told by base URL alone to go through the gateway. */
import OpenAI from "openai";
import type { Working } from "./agent.ts";

/** Back when the streamed answer has come and does not hold `secret`; throws otherwise. */
export async function askModel(
  { gateway, token, conversation, say }: Working,
  secret: string,
): Promise<void> {
  const client = new OpenAI({
    baseURL: `${gateway}/llm/model/v1`,
    apiKey: token,
    defaultHeaders: { "steno-conversation": conversation },
    maxRetries: 0,
  });
  const question = "How do we deploy this?";
  say(`? ${question}`);
  const messages = [{ role: "user" as const, content: question }];
  let answer = "";
  for await (const { choices } of await client.chat.completions.create({
    model: "gpt-5",
    messages,
    stream: true,
  }))
    answer += choices[0]?.delta?.content ?? "";
  say(`   ${answer}`);
  if (answer.includes(secret) || !answer.includes("[masked:secrets]"))
    throw new Error("the model's answer reached the agent with the secret in it");
}
