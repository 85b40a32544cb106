/** The context of one question as policies see it: what the adapter said, what holds for the whole operation, and nothing unset. */
import { type Facts, PATHS_MAX, type Question } from "#durable/format/question/question.ts";
import type { Context } from "../cedar.ts";

/** Folders above one path that count: what lies deeper is within the deepest of them. */
const DEPTH_MAX = 32;

/**
 * Cedar compares members of a set as a whole. So `touches` has each path, each folder above it (`src/`), its ending (`*.pem`)
 * and its name, with two stars and a slash before it, for that name anywhere. `tops` has the first step of each path, so that
 * a policy can say "nothing outside docs/". Throws when there are more paths than an adapter may give.
 */
export function contextOf({ context }: Question, { now, client, taints }: Facts): Context {
  const paths = strings(context["paths"]);
  if (paths.length > PATHS_MAX) throw new Error(`it touches ${paths.length} paths (at most ${PATHS_MAX})`);
  const own = Object.entries(context).map(([name, value]) => [
    name,
    typeof value === "object" ? [...value] : value,
  ]);
  return {
    findings: [],
    severity: 0,
    inspected: false,
    paths: [],
    ...Object.fromEntries(own),
    now: { ...now },
    client,
    taints: [...taints],
    touches: [...new Set(paths.flatMap(touched))],
    tops: [...new Set(paths.map(top))],
  };
}

const strings = (value: Question["context"][string] | undefined): readonly string[] =>
  typeof value === "object" ? value : [];

function touched(path: string): string[] {
  const steps = path.split("/");
  const name = steps.at(-1) ?? "";
  const folders = steps.slice(0, -1).slice(0, DEPTH_MAX);
  const above = folders.map((_, n) => `${folders.slice(0, n + 1).join("/")}/`);
  const dot = name.lastIndexOf(".");
  return [path, ...above, `**/${name}`, ...(dot >= 0 ? [`*${name.slice(dot)}`] : [])];
}

function top(path: string): string {
  const slash = path.indexOf("/");
  return slash < 0 ? path : path.slice(0, slash + 1);
}
