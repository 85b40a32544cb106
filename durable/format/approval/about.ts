/** What an operation is about, in a few words. */
import type { Operation } from "../operation.ts";

/** Which ref, tool, model or path: names, never arguments and never content. */
export function aboutOf(operation: Operation | { readonly kind: string }): string {
  const known = operation as Readonly<Record<string, unknown>>;
  if (operation.kind === "git.push")
    return (known["updates"] as readonly { readonly ref: string; readonly change: string }[])
      .slice(0, 5)
      .map(({ ref, change }) => `${change} ${ref}`)
      .join(", ");
  const words = ["repository", "method", "path", "name", "model", "about"].map((key) => known[key]);
  return words
    .filter((word) => typeof word === "string" && word !== "")
    .join(" ")
    .slice(0, 300);
}
