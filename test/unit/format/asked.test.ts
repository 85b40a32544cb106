import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Frame } from "#durable/format/frame.ts";
import { fitsLine } from "#durable/format/frame.ts";
import { type Asking, abridge, recordable, restore } from "#durable/format/question/asked.ts";
import type { Question, Resource } from "#durable/format/question/question.ts";

const facts = { now: { day: "2026-11-26", hour: 9, weekday: 4 }, client: "git/2.39.5", taints: ["t"] };
const connection: Resource = { type: "Connection", id: "code", attrs: { kind: "git" } };
const repository: Resource = {
  type: "Repository",
  id: "code/app",
  attrs: { path: "app" },
  within: connection,
};
const onRef = (name: string, context: Question["context"], within = repository): Question => ({
  part: name,
  action: "git.push",
  resource: { type: "Ref", id: `code/app/${name}`, attrs: { name }, within },
  context,
});

describe("the questions of a decision", () => {
  test("come back as they were asked, whatever they have in common", () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 2 }));
    const context = fc.dictionary(fc.constantFrom("a", "b", "c", "__x"), value, { noNullPrototype: true });
    const resource = fc.constantFrom<Resource>(repository, connection, { ...repository, id: "code/b" });
    const question = fc
      .tuple(fc.constantFrom("x", "y"), context, resource)
      .map(([name, members, within]) => onRef(name, members, within));
    fc.assert(
      fc.property(
        fc.array(question, { maxLength: 4 }),
        fc.array(fc.string(), { maxLength: 2 }),
        (questions, groups) => {
          const asking: Asking = { groups, facts, questions };
          expect(restore(JSON.parse(JSON.stringify(abridge(asking))))).toEqual(asking);
        },
      ),
    );
  });

  test("of a push of many refs say what all have in common once", () => {
    const refs = Array.from({ length: 100 }, (_, n) =>
      onRef(`refs/heads/${n}`, { old: `${n}`, new: "2".repeat(40), paths: ["src/a.ts", "src/b.ts"] }),
    );
    const whole = JSON.stringify({ groups: [], facts, questions: refs }).length;
    const asked = abridge({ groups: [], facts, questions: refs });
    expect(asked.common).toEqual({ new: "2".repeat(40), paths: ["src/a.ts", "src/b.ts"] });
    expect(asked.within).toEqual(repository);
    expect(JSON.stringify(asked).length).toBeLessThan(whole / 2);
  });

  test("that would not fit into the frame's line are counted, and whatever is recorded fits", () => {
    const decision = {
      verdict: "allow",
      policies: ["p"],
      set: "0".repeat(64),
      reason: "",
      denied: [],
    } as const;
    const room = 64_000 - JSON.stringify(decision).length;
    for (const letter of ["a", "é", "\u0000", "\ud800", "😀"]) {
      for (const length of [10, 5_000, 10_600, 21_000, 31_000, 62_900, 64_000, 100_000]) {
        const questions = [onRef("x", { paths: [letter.repeat(length)] })];
        const asked = recordable({ groups: [], facts, questions }, room);
        const frame = { k: "decision", x: `exc_${"0".repeat(26)}`, ...decision, asked } as unknown as Frame;
        expect(fitsLine(frame), `${length} of ${JSON.stringify(letter)}`).toBe(true);
        if (length === 10) expect(asked).toHaveProperty("questions");
        if (length === 100_000) expect(asked).toEqual({ omitted: 1 });
      }
    }
  });
});
