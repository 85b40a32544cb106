/**
 * What policies may speak of, as a Cedar schema. A policy that names anything else does not load, and a question
 * that carries anything else is denied: both sides of the gate are held to this text.
 */

/** The name under which the schema is parsed once inside Cedar. */
export const SCHEMA_NAME = "steno";

export const SCHEMA = `// Principals. Group names are those of the identity provider's groups claim.
entity Group;
entity Agent;

// A person, or a program that signs in for itself: User::"<issuer>|<subject>".
// An agent acting for a person stays that person's User, with \`agent\` set. Display names are left out: names change.
entity User in [Group] { issuer: String, subject: String, agent?: Agent };

// Resources: Ref in Repository in Connection.
// Connection::"payments", Repository::"payments/team/app", Ref::"payments/team/app/refs/heads/main".
entity Connection { kind: String };
entity Repository in [Connection] { path: String };
entity Ref in [Repository] { name: String };

action "git.read";
action "git.write";

action "git.refs" in ["git.read"] appliesTo {
  principal: User, resource: Repository,
  context: { service: String, version?: Long }
};
action "git.fetch" in ["git.read"] appliesTo {
  principal: User, resource: Repository,
  context: { version: Long, haves: Long, wants: Long, wantRefs: Set<String>, capabilities: Set<String>,
             depth?: String, filter?: String }
};

// One question for each ref of a push, by what happens to that ref: moved forward, made, removed, or rewritten.
// \`refs\` is how many refs the push is about.
action "git.push", "git.create", "git.delete", "git.force" in ["git.write"] appliesTo {
  principal: User, resource: Ref,
  context: { old: String, new: String, change: String, atomic: Bool, refs: Long, options: Set<String>,
             capabilities: Set<String> }
};
`;
