/** The context of one question as policies see it: what the adapter said, and what holds for the whole operation. */
import type { ContextValue, Facts, Question } from "#durable/format/question/question.ts";
import type { Context } from "../cedar.ts";
import { unset } from "./shape.ts";

/** Folders above one path that count: what lies deeper is within the deepest of them. */
const DEPTH_MAX = 32;

/**
 * Only the members in `reads`, which is what makes a question cheap: the policies that are asked mention no other.
 * Cedar compares members of a set as a whole. So `touches` has each path, each folder above it (`src/`), its ending (`*.pem`)
 * and its name, with two stars and a slash before it, for that name anywhere. `tops` has the first step of each path, so that
 * a policy can say "nothing outside docs/".
 */
export function contextOf({ context }: Question, facts: Facts, reads: Iterable<string>): Context {
  const all: Context = {};
  for (const name of reads) {
    const value = memberOf(name, context, facts);
    if (value !== undefined) all[name] = value;
  }
  return all;
}

function memberOf(
  name: string,
  context: Question["context"],
  { now, client, taints }: Facts,
): Context[string] | undefined {
  switch (name) {
    case "now":
      return { ...now, day: { __extn: { fn: "datetime", arg: now.day } } };
    case "client":
      return client;
    case "taints":
      return [...taints];
    case "touches":
      return [...new Set(strings(context["paths"]).flatMap(touched))];
    case "tops":
      return [...new Set(strings(context["paths"]).map(top))];
    default: {
      const value: ContextValue | undefined = context[name] ?? unset(name);
      return typeof value === "object" ? [...value] : value;
    }
  }
}

const strings = (value: ContextValue | undefined): readonly string[] =>
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
