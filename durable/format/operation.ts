/** What the agent asked for, decoded: one arm per kind and action. This is what frames and policies speak of. */
export type GitService = "git-upload-pack" | "git-receive-pack";

/** Object ids are lower-case hex, 40 (SHA-1) or 64 (SHA-256) letters; all zeros means "no object". */
export type RefUpdate = {
  readonly ref: string;
  readonly old: string;
  readonly new: string;
  /** What the update does. `force` also when the pack does not prove that `old` is an ancestor of `new`. */
  readonly change: "create" | "update" | "delete" | "force";
};

export type GitRefs = {
  readonly kind: "git.refs";
  readonly repository: string;
  readonly service: GitService;
  readonly version: 0 | 1 | 2;
  /** Protocol v2 `ls-refs` only. */
  readonly prefixes?: readonly string[];
  /** How many prefixes a frame left out to fit into its line; the recorded body has them all. */
  readonly omitted?: number;
};

export type GitFetch = {
  readonly kind: "git.fetch";
  readonly repository: string;
  readonly version: 0 | 1 | 2;
  readonly wants: readonly string[];
  readonly wantRefs: readonly string[];
  /** How many `have` lines there were; the lines themselves are in the body. */
  readonly haves: number;
  readonly depth?: string;
  readonly filter?: string;
  readonly done: boolean;
  readonly capabilities: readonly string[];
  /** How many wants, refs wanted and capabilities a frame left out to fit into its line; the recorded body has them all. */
  readonly omitted?: number;
};

export type GitPush = {
  readonly kind: "git.push";
  readonly repository: string;
  readonly updates: readonly RefUpdate[];
  readonly capabilities: readonly string[];
  readonly options: readonly string[];
  readonly atomic: boolean;
  /** How many updates and options a frame left out to fit into its line; the `git` frames have every update. */
  readonly omitted?: number;
};

/** The empty push git sends first to see whether it may: four bytes `0000`. Nothing can change by it. */
export type GitProbe = {
  readonly kind: "git.probe";
  readonly repository: string;
  readonly service: GitService;
};

/** A request that could not be decoded, or that was refused before anybody looked into it. */
export type Unknown = { readonly kind: "unknown" };

export type GitOperation = GitRefs | GitFetch | GitPush | GitProbe;
export type Operation = GitOperation | Unknown;
