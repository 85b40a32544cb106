import fc from "fast-check";
import { expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { targetOf } from "#workers/adapters/http/target.ts";

test.each([
  ["/a/%7Euser/%61dmin", "", "/a/~user/admin"],
  ["/projects/group%2fproject", "", "/projects/group%2Fproject"],
  ["/caf%c3%a9", "?q=1&q=2", "/caf%C3%A9?q=1&q=2"],
  ["/", "?", "/"],
  ["/x", "?key=secret&v=1", "/x?v=1"],
])("%s%s has one spelling, and it is what goes upstream", (path, query, sent) => {
  expect(targetOf(path, query).sent).toBe(sent);
});

test.each([
  "/a//b",
  "//a",
  "/a/%2e%2e/b",
  "/a/..%2fb",
  "/a/..;x=1/b",
  "/a%00b",
  "/a%5c..%5cb",
  "/a\\b",
  "/a/%2e",
  "/%0d%0ax",
])("%s can be read in more than one way and is refused", (path) => {
  expect(() => targetOf(path, "")).toThrow(/more than one way/);
});

test.each(["/%", "/%f", "/%zz", "/%c3%28"])("%s is no percent-encoded UTF-8 and is refused", (path) => {
  expect(() => targetOf(path, "")).toThrow(/not percent-encoded/);
});

test("a path that is too long is refused", () => {
  expect(() => targetOf(`/${"a".repeat(9000)}`, "")).toThrow(/too long/);
});

test("names of parameters are decoded, and each is there once", () => {
  expect(targetOf("/x", "?a=1&b%5B%5D=2&a=3").query).toEqual(["a", "b[]"]);
});

test("whatever is sent, it is refused or its spelling stays as it is", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("/", "a", ".", "%2e", "%2F", "%41", "%C3%A9", ";", "%", "\\", "~", "%00")),
      (parts) => {
        const path = `/${parts.join("")}`;
        try {
          const { path: canonical } = targetOf(path, "");
          expect(targetOf(canonical, "").path).toBe(canonical);
          expect(
            decodeURIComponent(canonical)
              .split("/")
              .some((part) => part === ".." || part === "."),
          ).toBe(false);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Refusal);
        }
      },
    ),
  );
});
