/** That the store keeps what a head promises, for as long as it promises, and gives it to whoever asks. */
import type { Head } from "#durable/format/head.ts";
import { SEAL_NAME } from "#durable/format/layout.ts";
import type { Context } from "./context.ts";

const DAY = 86_400_000;

type Place = { readonly folder: string; readonly entries: readonly { readonly object: string }[] };

/** A segment is put before the head that lists it, so what is promised counts from the start of the session. */
export async function checkRetention({ source, report }: Context, place: Place, head: Head): Promise<void> {
  const { mode, days } = head.retention;
  const promised = Date.parse(head.startedAt) + days * DAY;
  const objects = [
    ...head.segments.map(({ name }) => `${place.folder}${name}`),
    `${place.folder}${SEAL_NAME}`,
    ...place.entries.map(({ object }) => object),
  ];
  for (const object of objects) {
    const stat = await source.stat(object);
    if (!stat) continue;
    if (stat.covered)
      report("object_covered", object, "another version or a delete marker lies over what was sealed");
    if (mode === "none") continue;
    if (stat.retainUntil === undefined || stat.mode !== mode)
      report(
        "retention_short",
        object,
        `promised ${mode} for ${days} days; the store says ${stat.mode ?? "no lock"}`,
      );
    else if (stat.retainUntil < promised)
      report(
        "retention_short",
        object,
        `kept until ${text(stat.retainUntil)}; promised until ${text(promised)}`,
      );
  }
}

const text = (at: number): string => new Date(at).toISOString();
