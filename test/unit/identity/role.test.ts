import { expect, test } from "vitest";
import { rolesOf } from "#workers/identity/role.ts";

const ROLES = {
  auditor: ["security"],
  approver: ["leads", "security"],
  admin: ["platform"],
  privacy: ["dpo"],
};
const by = (...groups: string[]) => [...rolesOf({ issuer: "i", subject: "s", groups }, ROLES)];

test("roles follow from groups, and an admin is no auditor by being admin", () => {
  expect(by("platform")).toEqual(["admin"]);
  expect(by("security")).toEqual(["auditor", "approver"]);
  expect(by("dpo")).toEqual(["privacy"]);
  expect(by("platform", "leads")).toEqual(["approver", "admin"]);
});

test("nobody has a role by no group, by another group, or by a group that is written differently", () => {
  expect(by()).toEqual([]);
  expect(by("eng", "Platform", "platform ")).toEqual([]);
});
