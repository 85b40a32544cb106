/** Digests of what was hidden or found, keyed: of what has few values, a plain one would tell which it was. */
import type { Content } from "#durable/format/frame.ts";

/** Frames as they are recorded. `pseudonym` is the node's keyed digest; equal secrets have equal digests on one node. */
export async function keyed(
  content: readonly Content[],
  pseudonym: (text: string) => Promise<string>,
): Promise<readonly Content[]> {
  const digestOf = (sha256: string) => pseudonym(`mask ${sha256}`);
  const inputOf = (sha256: string) => pseudonym(`input ${sha256}`);
  return Promise.all(
    content.map(async (frame): Promise<Content> => {
      if (frame.k === "mask") return { ...frame, digest: await digestOf(frame.digest) };
      if (frame.k === "definition" && frame.hidden) {
        const [pinned, shown] = await Promise.all([frame.pinned, frame.shown].map(digestOf));
        return { ...frame, ...(pinned && shown && { pinned, shown }) };
      }
      if (frame.k === "catalogue" && "items" in frame) {
        const items = frame.items.map(async (item) =>
          item.hidden ? { ...item, digest: await digestOf(item.digest) } : item,
        );
        return { ...frame, items: await Promise.all(items) };
      }
      if (frame.k === "mcp" && frame.input !== undefined)
        return { ...frame, input: await inputOf(frame.input) };
      if (frame.k === "hook" && frame.claims?.of === "mcp.tools/call")
        return { ...frame, claims: { ...frame.claims, input: await inputOf(frame.claims.input) } };
      if (frame.k !== "git" || !frame.findings) return frame;
      const found = await Promise.all(
        frame.findings.found.map(async (one) => ({ ...one, digest: await digestOf(one.digest) })),
      );
      return { ...frame, findings: { ...frame.findings, found } };
    }),
  );
}
