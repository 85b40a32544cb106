/** What policy is asked about a git operation, in the terms of its schema. */
import type { Connection } from "#durable/format/connection.ts";
import type { GitFetch, GitLfsTransfer, GitOperation, GitPush } from "#durable/format/operation.ts";
import type { ContextValue, Question, Resource } from "#workers/contract/evaluator.ts";

/** What is known of a push beside its commands. */
export type PushFacts = {
  /** For every ref alike: counts, people, sizes. */
  readonly all: Readonly<Record<string, ContextValue>>;
  /** Of one ref: what it changes. */
  readonly of: (ref: string) => Readonly<Record<string, ContextValue>>;
};

/** What policy is asked: one question, or for a push one for each ref. */
export function questionsOf(
  operation: GitOperation,
  connection: Connection,
  facts?: PushFacts,
): readonly Question[] {
  const outer: Resource = { type: "Connection", id: connection.name, attrs: { kind: connection.kind } };
  const id = `${connection.name}/${operation.repository}`;
  const resource: Resource = { type: "Repository", id, attrs: { path: operation.repository }, within: outer };
  switch (operation.kind) {
    case "git.refs":
      return [
        {
          part: "",
          action: "git.refs",
          resource,
          context: { service: operation.service, version: operation.version },
        },
      ];
    case "git.probe":
      return [{ part: "", action: "git.refs", resource, context: { service: operation.service } }];
    case "git.fetch":
      return [{ part: "", action: "git.fetch", resource, context: fetchContext(operation) }];
    case "git.push":
      return pushQuestions(operation, resource, facts);
    case "git.lfs/download":
    case "git.lfs/upload":
      return [{ part: "", action: operation.kind, resource, context: transferContext(operation) }];
    case "git.lfs/locks": {
      const { method, path } = operation;
      const paths = path === undefined ? {} : { paths: [path] };
      return [{ part: "", action: operation.kind, resource, context: { method, ...paths } }];
    }
  }
}

/** `size` is that of all objects together. */
function transferContext({ kind, objects }: GitLfsTransfer): Question["context"] {
  const sizes = objects.map(({ size }) => size);
  const sum = sizes.reduce((all, size) => all + size, 0);
  const total = { objects: objects.length, size: Math.min(sum, Number.MAX_SAFE_INTEGER) };
  return kind === "git.lfs/upload" ? { ...total, largest: Math.max(0, ...sizes) } : total;
}

function fetchContext({
  version,
  wants,
  wantRefs,
  haves,
  depth,
  filter,
  capabilities,
}: GitFetch): Question["context"] {
  const bounds = { ...(depth !== undefined && { depth }), ...(filter !== undefined && { filter }) };
  return { version, haves, wants: wants.length, wantRefs, capabilities, ...bounds };
}

const ACTIONS = {
  create: "git.create",
  update: "git.push",
  delete: "git.delete",
  force: "git.force",
} as const;

function pushQuestions(push: GitPush, within: Resource, facts?: PushFacts): readonly Question[] {
  const { options, capabilities, atomic, updates } = push;
  const all: Record<string, ContextValue> = { atomic, refs: updates.length, options, capabilities };
  return updates.map(({ ref, old, new: next, change }) => ({
    part: ref,
    action: ACTIONS[change],
    resource: { type: "Ref", id: `${within.id}/${ref}`, attrs: { name: ref }, within },
    // A ref that is removed brings nothing.
    context: {
      ...all,
      old,
      new: next,
      change,
      ...(change === "delete" ? { inspected: true } : { ...facts?.all, ...facts?.of(ref) }),
    },
  }));
}
