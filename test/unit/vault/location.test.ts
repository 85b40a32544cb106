import { expect, test } from "vitest";
import { mounted } from "#workers/vault/location.ts";

const BASE = "https://tickets.internal/rest";
const ASKED = `${BASE}/issues/1`;
const told = (location: string): string | null =>
  mounted(new Headers({ location }), ASKED, BASE, "/http/tickets").get("location");

test.each([
  ["/rest/issues/2?x=1#y", "/http/tickets/issues/2?x=1#y"],
  ["2", "/http/tickets/issues/2"],
  ["https://tickets.internal/rest", "/http/tickets/"],
  ["//tickets.internal/rest/a", "/http/tickets/a"],
])("a redirect to %s leads through the gateway again", (location, expected) => {
  expect(told(location)).toBe(expected);
});

test("a redirect out of the connection is said in full, so that it does not lead to the gateway by accident", () => {
  expect(told("/login")).toBe("https://tickets.internal/login");
  expect(told("/restaurant")).toBe("https://tickets.internal/restaurant");
});

test("a redirect to another host stays as it is", () => {
  expect(told("https://elsewhere.example/x")).toBe("https://elsewhere.example/x");
  expect(told("http://[")).toBe("http://[");
});
