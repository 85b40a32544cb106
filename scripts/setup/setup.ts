/** `steno setup cursor`: points Cursor, and the git of its terminal, at a gateway; or takes that back. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { ROOT } from "#scripts/build.ts";
import { baseOf, target } from "#scripts/cli/client.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { loadOrReport } from "#scripts/cli/report.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { reason } from "#scripts/config/finding.ts";
import { showAddress } from "#scripts/config/values.ts";
import { isShim, shimPath } from "#scripts/hook/hook.ts";
import { keptGateway, keptPath, keptToken } from "#scripts/token/kept.ts";
import { applySetup, type Done } from "./apply.ts";
import { connectionsAt, connectionsIn, type Reachable } from "./connections.ts";
import { hookEntries, MCP_WAYS, type McpWay, mcpServers, SHIM_FILES, sandboxAccess, shimCommand } from "./cursor-files.ts";
import { type Disk, NODE_DISK } from "./disk.ts";
import { gitLines, readByGit, waysAround } from "./git-lines.ts";
import { type Part, planSetup, type Setup } from "./plan.ts";

const FLAGS = {
  project: "text",
  gateway: "text",
  config: "text",
  mcp: "text",
  shim: "text",
  ssh: "flag",
  remove: "flag",
  print: "flag",
  json: "flag",
} as const;
