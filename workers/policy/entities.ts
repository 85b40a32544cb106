/** Principals and resources as Cedar entities: only the slice one question needs. */
import type { Principal } from "#durable/format/principal.ts";
import type { Question, Resource } from "#workers/contract/evaluator.ts";
import type { EntityJson, EntityUidJson } from "./cedar.ts";

/** Connection, repository and ref; anything longer is no resource of ours. */
const CHAIN_MAX = 3;

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
 * The resource and everything it lies within. A chain that does not end at a connection is refused: a forbid on the
 * connection would not see it.
 */
export function resourceEntities(question: Question): EntityJson[] {
  const entities: EntityJson[] = [];
  let outer: Resource | undefined = question.resource;
  while (outer && entities.length < CHAIN_MAX) {
    const { within }: Resource = outer;
    entities.push({
      uid: resourceUid(outer),
      attrs: { ...outer.attrs },
      parents: within ? [resourceUid(within)] : [],
    });
    if (!within && outer.type === "Connection") return entities;
    outer = within;
  }
  throw new Error("the resource does not lie within a connection");
}

export const resourceUid = (resource: Resource): EntityUidJson => ({ type: resource.type, id: resource.id });
