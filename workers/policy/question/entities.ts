/** Principals and resources as Cedar entities: only the slice one question needs. */
import type { Principal } from "#durable/format/principal.ts";
import { WITHIN } from "#durable/format/question/action.ts";
import type { Resource } from "#durable/format/question/question.ts";
import type { EntityJson, EntityUidJson } from "../cedar.ts";

/**
 * `User::"<issuer>|<subject>"`. An issuer is a URL, and a URL has no `|`, so no choice of subject can name somebody
 * else's user; an issuer that has one is refused.
 */
export function userId(principal: Principal): string {
  if (principal.issuer.includes("|")) throw new Error("an issuer with | in it cannot be told from another");
  return `${principal.issuer}|${principal.subject}`;
}

/**
 * The person who asks, with their groups as parents. When an agent acts for them they stay who they are and the
 * `agent` attribute is set: what a person may not do, no agent of theirs may, and policies can narrow it further.
 */
export function userEntity(principal: Principal): EntityJson {
  return {
    uid: { type: "User", id: userId(principal) },
    attrs: {
      issuer: principal.issuer,
      subject: principal.subject,
      ...(principal.agent === undefined
        ? {}
        : { agent: { __entity: { type: "Agent", id: principal.agent } } }),
    },
    parents: [...new Set(principal.groups)].map((id) => ({ type: "Group", id })),
  };
}

/**
 * The resource and everything it lies within, out to its connection. A chain with a link missing is refused: a forbid
 * on what is missing would not see it.
 */
export function resourceEntities(resource: Resource): EntityJson[] {
  const { type, attrs, within } = resource;
  // Cedar itself would let a ref skip its repository.
  if (!Object.hasOwn(WITHIN, type)) throw new Error(`${type} is no type of resource`);
  const places = WITHIN[type];
  if (within ? !places.includes(within.type) : places.length > 0) {
    throw new Error(
      `a ${type} lies in ${places.join(" or ") || "nothing"}, not in ${within?.type ?? "nothing"}`,
    );
  }
  const entity = {
    uid: resourceUid(resource),
    attrs: { ...attrs },
    parents: within ? [resourceUid(within)] : [],
  };
  return [entity, ...(within ? resourceEntities(within) : [])];
}

export const resourceUid = (resource: Resource): EntityUidJson => ({ type: resource.type, id: resource.id });
