import { expect, test } from "vitest";
import type { GitOperation } from "#durable/format/operation.ts";
import { questionsOf } from "#workers/adapters/git/questions.ts";
import { ann, connectionSettings, deciding } from "./asking.ts";

const id = (digit: string) => digit.repeat(40);
const fetching = {
  kind: "git.fetch",
  repository: "team/app",
  version: 2,
  wants: [id("1")],
  wantRefs: ["refs/heads/main"],
  haves: 3,
  done: true,
  capabilities: ["ofs-delta"],
} as const;
const operations: GitOperation[] = [
  {
    kind: "git.refs",
    repository: "team/app",
    service: "git-upload-pack",
    version: 2,
    prefixes: ["refs/heads/"],
  },
  { kind: "git.refs", repository: "team/app", service: "git-receive-pack", version: 0 },
  { kind: "git.probe", repository: "team/app", service: "git-receive-pack" },
  {
    kind: "git.lfs/upload",
    repository: "team/app",
    step: "batch",
    objects: [{ oid: "a".repeat(64), size: 5 }],
    ref: "refs/heads/a",
  },
  { kind: "git.lfs/upload", repository: "team/app", step: "batch", objects: [] },
  {
    kind: "git.lfs/download",
    repository: "team/app",
    step: "object",
    objects: [{ oid: "a".repeat(64), size: 5 }],
  },
  { kind: "git.lfs/locks", repository: "team/app", method: "create", path: "a/b.bin" },
  { kind: "git.lfs/locks", repository: "team/app", method: "list" },
  fetching,
  { ...fetching, version: 0, depth: "1", filter: "blob:none" },
  {
    kind: "git.push",
    repository: "team/app",
    updates: [
      { ref: "refs/heads/a", old: id("1"), new: id("2"), change: "update" },
      { ref: "refs/heads/b", old: id("0"), new: id("2"), change: "create" },
      { ref: "refs/heads/c", old: id("1"), new: id("0"), change: "delete" },
      { ref: "refs/heads/d", old: id("1"), new: id("2"), change: "force" },
    ],
    capabilities: ["report-status"],
    options: ["ci.skip"],
    atomic: true,
  },
];

test.each(operations.map((operation) => [operation.kind, operation] as const))(
  "every question the git adapter asks fits the policy schema: %s",
  async (_, operation) => {
    const decide = await deciding(`@id("all") permit(principal, action, resource);`);
    const questions = questionsOf(operation, connectionSettings);
    expect(questions.length).toBeGreaterThan(0);
    expect(decide(ann, questions)).toMatchObject({ verdict: "allow", policies: ["all"] });
  },
);
