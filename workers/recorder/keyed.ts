/** Digests of what was hidden, keyed: of what has few values, a plain one would tell which it was. */
import type { Content } from "#durable/format/frame.ts";

/** Frames as they are recorded. `pseudonym` is the node's keyed digest; equal secrets have equal digests on one node. */
export async function keyed(
  content: readonly Content[],
  pseudonym: (text: string) => Promise<string>,
): Promise<readonly Content[]> {
  if (content.every(({ k }) => k !== "mask")) return content;
  return Promise.all(
    content.map(async (frame) =>
      frame.k === "mask" ? { ...frame, digest: await pseudonym(`mask ${frame.digest}`) } : frame,
    ),
  );
}
