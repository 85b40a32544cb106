/** Frames about what an MCP server offers: its lists, as they were sent and as they were shown, and how a definition changed. */
import type { ExchangeId } from "../ids.ts";

export type ListKind = "tools" | "prompts" | "resources" | "templates";

/** A list in an answer, or a message that could not be read and may have held one. A long one goes on in the next frame. */
export type CatalogueFrame = { readonly k: "catalogue"; readonly x: ExchangeId } & (
  | {
      readonly list: ListKind;
      /** In the order the upstream sent them. */
      readonly items: readonly CatalogueItem[];
    }
  /** Why nothing of it was passed. `text` is the message as it was sent, absent with bodies = "digest"; it goes on in the next frame. */
  | { readonly unread: string; readonly text?: string }
);

export type CatalogueItem = {
  /** Its place in the list that the upstream sent. */
  readonly at: number;
  /** What its server calls it: a name, a URI, a template. */
  readonly name: string;
  /** What the agent was told it is called, where that is another name. */
  readonly as?: string;
  /** SHA-256, hex, of the item as JSON without white space, members sorted by name. Keyed by the recorder where `hidden` is set. */
  readonly digest: string;
  /** Something in it is hidden, in the record as from the agent. */
  readonly hidden?: true;
  /** Of a tool that was shown; absent for one that is as it was pinned. */
  readonly pin?: "new" | "changed";
  /** Policy denies its use, so the agent was not shown it: the policies that said so, none where nothing permits it. */
  readonly withheld?: readonly string[];
  /** What was withheld, as it was sent; absent with bodies = "digest". A long one goes on in the next item, of the same `at`. */
  readonly text?: string;
};

/** How the definition that an agent was shown differs from the one that is pinned. */
export type DefinitionFrame = {
  readonly k: "definition";
  readonly x: ExchangeId;
  readonly tool: string;
  /** Digests of both, as in a catalogue. */
  readonly pinned: string;
  readonly shown: string;
  readonly hidden?: true;
  /** The agent has been shown the pinned one again since: the server has gone back. */
  readonly withdrawn?: true;
  /** Hunks of a unified diff; each line is a member, by its path, and its value. */
  readonly patch: string;
  /** Letters that are left out at its end. */
  readonly omitted?: number;
};
