/** What can be held against what passed: calls of MCP tools, and pushes. */
export type Claimable = "mcp.tools/call" | "git.push";

/**
 * What a hook says is about to happen. `input` is a digest of the tool and its arguments: SHA-256 alone until the recorder has
 * keyed it. `count` is how often a command line runs `git push`.
 */
export type Claim =
  | { readonly of: "mcp.tools/call"; readonly input: string }
  | { readonly of: "git.push"; readonly count: number };
