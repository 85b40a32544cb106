/** That a push contains what the recording says of it: its commands, and every commit that is claimed. */
import type { BodyEnd, Frame, GitFrame } from "#durable/format/frame.ts";
import type { RefUpdate } from "#durable/format/operation.ts";
import { concat } from "../../bytes.ts";
import type { Report } from "../../finding.ts";
import { inflateGzip } from "../../native.ts";
import { PackMalformed, PackTooLarge, type PushContent, readPush } from "./pack-commits.ts";
import { dataLength } from "./tally.ts";

type Claim = { readonly seq: number; readonly object: string; readonly id: string };
type Update = Pick<RefUpdate, "ref" | "old" | "new">;
type Push = {
  readonly updates: Update[];
  /** The request frame had no room for every update: the `git` frames have them. */
  readonly abridged: boolean;
  readonly gzip: boolean;
  readonly claims: Claim[];
  /** Of its body, in order; undefined once it cannot be put together. */
  parts: Uint8Array[] | undefined;
  size: number;
};

export class Pushes {
  readonly #report: Report;
  readonly #max: number;
  readonly #live = new Map<string, Push>();
  /** Commits of bodies that have ended, until the response: what inspects a whole body speaks after it. */
  readonly #ended = new Map<string, ReadonlySet<string>>();
  readonly #seen = new Set<string>();
  #held = 0;
  /** Some push was not read: a commit that is not found may be in it. */
  #partial = false;

  constructor(report: Report, max: number) {
    this.#report = report;
    this.#max = max;
  }

  skip(): void {
    this.#partial = true;
    for (const push of this.#live.values()) this.#drop(push);
  }

  see(frame: Frame | undefined, bytes: Uint8Array | undefined, seq: number, object: string): void {
    if (frame?.k === "request" && frame.operation.kind === "git.push") this.#begin(frame);
    else if (frame?.k === "git") this.#claim(frame, seq, object);
    else if (frame?.k === "data" && frame.dir === "c2s") {
      const push = this.#live.get(frame.x);
      if (!push) return;
      // The end may stand on the last bytes.
      if (dataLength(frame) > 0) this.#add(push, bytes, frame.x, object);
      if (frame.end !== undefined) this.#end(push, frame.x, object, frame.end);
    } else if (frame?.k === "response") this.#ended.delete(frame.x);
  }

  /** Every commit that a head claims is in a pack of the session, or is what an update of a ref asked for. */
  checkSubject(object: string, name: string, id: string): void {
    if (!this.#partial && this.#live.size === 0 && !this.#seen.has(id))
      this.#report(
        "commit_missing",
        object,
        `claims commit ${id} (${name}), which no recorded push contains`,
      );
  }

  #begin(frame: Frame & { readonly k: "request" }): void {
    const push = frame.operation.kind === "git.push" ? frame.operation : undefined;
    const updates = [...(push?.updates ?? [])];
    const abridged = push?.omitted !== undefined;
    const gzip = frame.headers.some(
      ([name, value]) => name.toLowerCase() === "content-encoding" && value === "gzip",
    );
    this.#live.set(frame.x, { updates, abridged, gzip, claims: [], parts: [], size: 0 });
  }

  #claim(frame: GitFrame, seq: number, object: string): void {
    const push = this.#live.get(frame.x);
    const ended = this.#ended.get(frame.x);
    for (const { id } of frame.commits ?? []) {
      push?.claims.push({ seq, object, id });
      if (ended) this.#checkClaim({ seq, object, id }, ended);
    }
    for (const update of frame.updates ?? []) {
      if (!push || push.updates.some((other) => sameUpdate(update, other))) continue;
      if (push.abridged) push.updates.push(update);
      else
        this.#report(
          "push_differs",
          object,
          `frame ${seq} has an update of ${update.ref} that the request has not`,
        );
    }
  }

  #add(push: Push, bytes: Uint8Array | undefined, x: string, object: string): void {
    if (!push.parts) return;
    if (!bytes) {
      this.#drop(push);
      return;
    }
    if (this.#held + bytes.byteLength > this.#max) {
      this.#report(
        "pack_unchecked",
        object,
        `the push ${x} is larger than ${this.#max} bytes; its commits were not checked`,
      );
      this.#drop(push);
      return;
    }
    // A copy: the segment it is a view of must not stay in memory for it.
    push.parts.push(bytes.slice());
    push.size += bytes.byteLength;
    this.#held += bytes.byteLength;
  }

  #drop(push: Push): void {
    this.#held -= push.size;
    push.size = 0;
    push.parts = undefined;
  }

  #end(push: Push, x: string, object: string, end: BodyEnd): void {
    const content = this.#read(push, x, object, end === "complete");
    this.#drop(push);
    this.#live.delete(x);
    if (!content) {
      // A refused push put nothing anywhere, so no head can have a commit from it.
      if (end !== "refused") this.#partial = true;
      return;
    }
    this.#ended.set(x, content.commits);
    for (const claim of push.claims) this.#checkClaim(claim, content.commits);
    if (end === "refused") return;
    for (const id of content.commits) this.#seen.add(id);
    for (const command of content.commands) this.#seen.add(command.new);
    const same =
      content.commands.length === push.updates.length &&
      push.updates.every((update) => content.commands.some((command) => sameUpdate(update, command)));
    if (!same)
      this.#report(
        "push_differs",
        object,
        `the commands in the body of ${x} are not the updates of its request`,
      );
  }

  #checkClaim({ seq, object, id }: Claim, commits: ReadonlySet<string>): void {
    if (!commits.has(id))
      this.#report(
        "commit_missing",
        object,
        `frame ${seq} claims commit ${id}, which the recorded pack does not contain`,
      );
  }

  /** A body that was cut off or refused may end anywhere: what cannot be read of it is no finding. */
  #read(push: Push, x: string, object: string, complete: boolean): PushContent | undefined {
    if (!push.parts?.length) return undefined;
    try {
      const body = concat(push.parts);
      return readPush(push.gzip ? inflateGzip(body, this.#max) : body);
    } catch (error) {
      if (error instanceof PackTooLarge)
        this.#report("pack_unchecked", object, `${x}: ${error.message}; its commits were not checked`);
      else if (complete)
        this.#report(
          "pack_malformed",
          object,
          `${x}: ${error instanceof PackMalformed ? error.message : "its body does not inflate"}`,
        );
      return undefined;
    }
  }
}

const sameUpdate = (a: Update, b: Update): boolean => a.ref === b.ref && a.old === b.old && a.new === b.new;
