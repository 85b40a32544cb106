import fc from "fast-check";
import { expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { endpointOf } from "#workers/adapters/git/endpoint.ts";

const refs = (path: string) => endpointOf("GET", `${path}/info/refs`, "?service=git-upload-pack");
const coded = (code: string) => expect.objectContaining({ code });

test("the steps of smart HTTP are told apart", () => {
  expect(refs("/team/app.git")).toEqual({
    repository: "team/app",
    service: "git-upload-pack",
    step: "refs",
    path: "/team/app.git/info/refs?service=git-upload-pack",
    asked: "/team/app.git",
  });
  expect(endpointOf("POST", "/app/git-receive-pack", "")).toMatchObject({
    repository: "app",
    service: "git-receive-pack",
    step: "rpc",
  });
});

test("policy and the server see the same repository, with and without .git, encoded or not", () => {
  for (const path of ["/team/app", "/team/app.git", "/te%61m/%61pp.git"])
    expect(refs(path).repository).toBe("team/app");
  expect(refs("/te%61m/a%20b%3Fc").path).toBe("/team/a%20b%3Fc/info/refs?service=git-upload-pack");
  expect(refs("/x.git.git").repository).toBe("x.git");
});

test.each([
  "",
  "/",
  "//app",
  "/team//app",
  "/team/app/",
  "/./app",
  "/../app",
  "/%2e%2e/app",
  "/%2E/app",
  "/team%2fapp",
  "/team%2Fapp",
  "/team%5capp",
  "/a\\b",
  "/a%00b",
  "/a%0ab",
  "/a%7f",
  "/a%c2%85",
  "/-oops",
  "/team/-x",
  "/a%252fb",
  "/a%25",
  "/a;b=c",
  "/a%3bb",
  "/.git",
  "/app/.git",
  "/app/.GIT/x",
  "/%ff",
  "/%",
  "/%zz",
  "/cafe%cc%81",
  "/%ef%bb%bfapp",
  `/${"a".repeat(3000)}`,
])("the path %j is refused", (path) => {
  expect(() => refs(path)).toThrow(Refusal);
});

test.each([
  ["GET", "/app/info/refs", ""],
  ["GET", "/app/info/refs", "?service=git-upload-archive"],
  ["GET", "/app/info/refs", "?service=git-upload-pack&access_token=x"],
  ["HEAD", "/app/info/refs", "?service=git-upload-pack"],
  ["GET", "/app/git-upload-pack", ""],
  ["POST", "/app/git-upload-pack", "?x=y"],
  ["POST", "/app/git-upload-archive", ""],
  ["GET", "/app/HEAD", ""],
  ["GET", "/app/objects/info/packs", ""],
  ["POST", "/app/info/lfs/objects/batch", ""],
])("%s %s%s is no git this gateway passes", (method, path, query) => {
  expect(() => endpointOf(method, path, query)).toThrow(coded("unknown_path"));
});

test("whatever is accepted decodes to itself, in one step, and names no other place", () => {
  const raw = fc.string({ unit: fc.constantFrom(..."ab.%/\\;-2eEfF5cC0 é"), maxLength: 24 });
  fc.assert(
    fc.property(raw, (path) => {
      try {
        const { path: sent, asked, repository } = refs(`/${path}`);
        const [decoded] = decodeURIComponent(sent).split("/info/refs?");
        expect(decoded).toBe(asked);
        expect(refs(asked.split("/").map(encodeURIComponent).join("/")).repository).toBe(repository);
        expect(new URL(`http://h${sent}`).pathname).toBe(sent.split("?")[0]);
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
      }
    }),
    { numRuns: 2000 },
  );
});
