/** That the store keeps what a head promises, for as long as it promises, and gives it to whoever asks. */
import type { Head } from "#durable/format/head.ts";
import { SEAL_NAME } from "#durable/format/layout.ts";
import type { Context } from "./context.ts";

const DAY = 86_400_000;

type Place = { readonly folder: string; readonly entries: readonly { readonly object: string }[] };

/** A segment is put before the head that lists it, so what is promised counts from the start of the session. */
export async function checkRetention(context: Context, place: Place, head: Head): Promise<void> {
  const objects = [
    ...head.segments.map(({ name }) => `${place.folder}${name}`),
    `${place.folder}${SEAL_NAME}`,
    ...place.entries.map(({ object }) => object),
  ];
  for (const object of objects) await checkKept(context, object, Date.parse(head.startedAt), head.retention);
}

/** One object that was put at `from`, in milliseconds since 1970, or later. */
export async function checkKept(
  { source, report }: Context,
  object: string,
  from: number,
  { mode, days }: Head["retention"],
): Promise<void> {
  const stat = await source.stat(object);
  if (!stat) return;
  if (stat.covered)
    report("object_covered", object, "another version or a delete marker lies over what was sealed");
  if (mode === "none") return;
  const promised = from + days * DAY;
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

const text = (at: number): string => new Date(at).toISOString();
