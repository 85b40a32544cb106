/**
 * Trees, commits and files by id: of the push, of what was fetched for it, and of what was seen before in the same repository.
 * Ids are hashes of content, so it does not matter where an object was had.
 */
import type { Bytes, Kind } from "../pack/bytes.ts";
import { Recent } from "../pack/recent.ts";
import type { WholePack } from "../pack/whole-pack.ts";

/** Held for later pushes, in one isolate. */
const REMEMBERED = 32 * 1024 * 1024;
const SMALL_FILE = 64 * 1024;
/** Held for one push. */
const FETCHED_MAX = 64 * 1024 * 1024;
const remembered = new Recent<string>(REMEMBERED);

type Known = { readonly kind: Kind; readonly content: Bytes };

export class KnownObjects {
  readonly #repository: string;
  readonly #pack: WholePack | undefined;
  readonly #fetched = new Map<string, Known>();
  #size = 0;

  /** `repository` names it with its connection: who may not read one is not shown its paths by another. */
  constructor(repository: string, pack: WholePack | undefined) {
    this.#repository = repository;
    this.#pack = pack;
  }

  /** What a fetch brought. False when it is more than is held. */
  add(id: string, kind: Kind, content: Bytes): boolean {
    this.#size += content.byteLength;
    if (this.#size > FETCHED_MAX) return false;
    this.#fetched.set(id, { kind, content });
    this.#remember(kind, id, content);
    return true;
  }

  /** The content of an object of that kind, or undefined. */
  async get(kind: Kind, id: string): Promise<Bytes | undefined> {
    const own = this.#fetched.get(id);
    if (own) return own.kind === kind ? own.content : undefined;
    if (this.#pack?.find(id)) {
      const object = await this.#pack.object(id);
      if (object?.kind !== kind) return undefined;
      this.#remember(kind, id, object.content);
      return object.content;
    }
    return remembered.get(this.#key(kind, id));
  }

  /** How often bytes of the pack had to be had again, which costs more than all else here. */
  looks = (): number => this.#pack?.looks ?? 0;
  kindInPack = (id: string): Kind | undefined => this.#pack?.find(id)?.kind;
  sizeInPack = (id: string): number | undefined => this.#pack?.find(id)?.size;

  /** What the next push is compared with: trees, commits, and small files. */
  #remember(kind: Kind, id: string, content: Bytes): void {
    if (kind !== "blob" || content.byteLength <= SMALL_FILE) remembered.keep(this.#key(kind, id), content);
  }

  #key = (kind: Kind, id: string): string => `${this.#repository} ${kind} ${id}`;
}
