/** Our own scripts run on the Node that npm installs, not on whatever the machine has. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("under npm run, node is Node 24", () => {
  expect(process.versions.node.split(".")[0]).toBe("24");
});

test("the steno command runs on the Node that npm installs", () => {
  const text = execFileSync("npx", ["steno", "help"], {
    cwd: join(import.meta.dirname, ".."),
    encoding: "utf8",
  });
  expect(text).toContain("steno serve");
});
