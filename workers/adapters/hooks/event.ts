/** One event of an agent's hooks, whichever agent: what policy and the record are told of it. */
import type { HookFrame } from "#durable/format/frame.ts";

/** What an event is about, by the action that policy is asked. Paths are relative to the workspace where they lie in it. */
export type About =
  | {
      readonly action: "shell.exec";
      readonly command: string;
      readonly cwd: string;
      readonly sandbox?: boolean;
    }
  | {
      readonly action: "file.read" | "file.write" | "file.delete" | "file.edited";
      readonly path: string;
      readonly tool: string;
      readonly size?: number;
    }
  | {
      readonly action: "mcp.call";
      readonly tool: string;
      readonly server?: McpServer;
      readonly input: Flat;
      /** Of the tool and its whole input. */
      readonly digest: string;
    }
  | { readonly action: "mcp.result"; readonly tool: string; readonly server?: McpServer }
  | { readonly action: "tool.use"; readonly tool: string; readonly input: Flat }
  | { readonly action: "tool.result"; readonly tool: string }
  | { readonly action: "web.fetch"; readonly url: string; readonly host: string }
  | { readonly action: "agent.start"; readonly type: string }
  | { readonly action: "prompt.submit"; readonly attachments: readonly string[]; readonly size: number }
  | {
      readonly action:
        | "session.start"
        | "session.end"
        | "shell.result"
        | "agent.response"
        | "agent.thought"
        | "agent.stop"
        | "agent.compact";
    };

export type McpServer = { readonly name: string; readonly url?: string; readonly command?: string };

/** Scalars of a tool's input as `path.to.it=value`; `all` is false where they were too many to be told. */
export type Flat = { readonly scalars: readonly string[]; readonly all: boolean };

export type HookEvent = {
  readonly event: string;
  readonly about: About;
  readonly conversation: string | undefined;
  readonly place: Place;
  /** What the frame says beside the event. */
  readonly frame: Omit<HookFrame, "k" | "x" | "event">;
};

/** Where relative paths begin, and the folders of the workspace; `base` is one of those unless the event says another. */
export type Place = { readonly base: string; readonly roots: readonly string[] };
