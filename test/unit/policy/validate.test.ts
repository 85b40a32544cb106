import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { validatePolicies } from "#scripts/policy/validate.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "steno-policy-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

test("the policies shipped with Steno are valid and raise no warning", async () => {
  expect(await validatePolicies(join(import.meta.dirname, "../../../policies"))).toEqual({
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    policies: 13,
    warnings: [],
  });
});

test("a directory's files are read through links, other files are not read, and a subdirectory is pointed out", async () => {
  mkdirSync(join(dir, "more"));
  writeFileSync(join(dir, "more", "b.cedar"), `@id("b") permit(principal, action, resource);`);
  symlinkSync(join(dir, "more", "b.cedar"), join(dir, "b.cedar"));
  writeFileSync(join(dir, "notes.txt"), "permit(");
  expect(await validatePolicies(dir)).toMatchObject({
    policies: 1,
    warnings: [{ file: "more", message: "directory is not read" }],
  });
});

test("errors come with file, line and hint", async () => {
  writeFileSync(join(dir, "a.cedar"), `@id("a")\npermit(principal, action == Action::"git.psh", resource);`);
  expect(await validatePolicies(dir)).toEqual({
    errors: [
      {
        file: "a.cedar",
        line: 2,
        message: 'unrecognized action `Action::"git.psh"`',
        hint: expect.stringMatching(/^did you mean /),
      },
    ],
  });
});

test("a detector in @mask that the configuration does not have is an error, with the one that was meant", async () => {
  const mask = (names: string) =>
    `@id("m-${names.length}")\n@mask("${names}")\npermit(principal, action, resource);`;
  writeFileSync(join(dir, "a.cedar"), [mask("*"), mask("email, ticket")].join("\n"));
  expect(await validatePolicies(dir, ["email", "ticket"])).toMatchObject({ policies: 2 });
  writeFileSync(join(dir, "b.cedar"), mask("secrets, emial"));
  expect(await validatePolicies(dir, ["secrets", "email"])).toEqual({
    errors: [
      expect.objectContaining({ file: "a.cedar", message: 'unknown detector "ticket"' }),
      { file: "b.cedar", line: 1, message: 'unknown detector "emial"', hint: 'did you mean "email"?' },
    ],
  });
});

test("a directory that is empty, is not there, or cannot be read is an error, not a throw", async () => {
  expect(await validatePolicies(dir)).toMatchObject({ errors: [{ message: "no policies" }] });
  expect(await validatePolicies(join(dir, "none"))).toMatchObject({ errors: [{ file: "" }] });
  symlinkSync(join(dir, "none"), join(dir, "gone.cedar"));
  const answer = await validatePolicies(dir);
  expect("errors" in answer && answer.errors[0]?.message).toContain("cannot load policies");
});
