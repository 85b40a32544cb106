/** What a principal may do on the console: roles follow from groups, and from nothing else. */
import type { Principal } from "#durable/format/principal.ts";
import type { Roles } from "#workers/contract/settings.ts";

export type Role = keyof Roles;

const ROLES: readonly Role[] = ["auditor", "approver", "admin", "privacy"];

/** Roles do not imply one another: an admin is no auditor by being admin. */
export function rolesOf(principal: Principal, roles: Roles): ReadonlySet<Role> {
  return new Set(ROLES.filter((role) => roles[role].some((group) => principal.groups.includes(group))));
}
