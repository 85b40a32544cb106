/** A tool of an MCP server as a list defined it, and what is known of it from before. */

export type Definition = {
  /** As its server names it. */
  readonly tool: string;
  /** SHA-256, hex, over the UTF-8 of `text`. */
  readonly digest: string;
  /** The item of the list as JSON without white space, members sorted by name: what means the same is the same. */
  readonly text: string;
};

/** What a connection's pins say of a tool, to somebody who calls it. */
export type Known = {
  /** The first that anybody was shown, or the last that was approved. */
  readonly pinned: Definition;
  /** Another that this principal was shown, last or not long ago: nobody has approved it. */
  readonly shown?: Definition;
  /** The server has gone back to the pinned one since. */
  readonly withdrawn?: true;
};

/** What a definition was to the pins when it was shown: the first of its tool, the pinned one, or another. */
export type PinState = "new" | "pinned" | "changed";

/** A definition that an approval accepts: it becomes the pin, unless the server has gone back, or whoever asked was shown another since. */
export type Acceptance = Pick<Definition, "tool" | "digest">;
