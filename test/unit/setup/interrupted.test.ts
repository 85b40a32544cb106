// `steno setup cursor` and `--remove` in homes that are already lived in, with disks that fail at every step.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failing, Home } from "./home.ts";

let home: Home;
beforeEach(() => {
  home = new Home();
});
afterEach(() => home.remove());

/** Homes by what is in them before. */
const LIVED_IN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "an empty home": {},
  "a home with Cursor in it": { ".cursor/argv.json": "{}", ".cursor/extensions/x": "" },
  "files that say nothing yet": {
    ".cursor/mcp.json": "",
    ".cursor/hooks.json": "{}",
    ".cursor/sandbox.json": "\n",
    ".gitconfig": "",
  },
  "files of other people": {
    ".cursor/mcp.json": '{\n\t"mcpServers": {\n\t\t// mine\n\t\t"other": { "command": "x" },\n\t},\n}',
    ".cursor/hooks.json":
      '\ufeff{"version":1,"hooks":{"stop":[{"command":"./done.sh"}],"preToolUse":[]},"more":[1,2]}\r\n',
    ".cursor/sandbox.json":
      '{\r\n  "networkPolicy": {\r\n    "default": "allow",\r\n    "allow": ["a.example"]\r\n  }\r\n}\r\n',
    ".gitconfig": "[user]\n\tname = Ada\n\temail = ada@example.test",
    ".cursor/hooks/done.sh": "#!/bin/sh\n",
  },
  "a home whose git lives elsewhere": {
    ".config/git/config": "[user]\n\tname = Ada\n",
    ".config/other/x": "y",
  },
};

describe.each(Object.entries(LIVED_IN))("in %s", (_, files) => {
  beforeEach(() => {
    for (const [path, text] of Object.entries(files)) home.put(path, text, 0o640);
  });

  test("setup adds, again changes nothing, and remove gives back every byte, mode and directory", async () => {
    const before = home.seen();
    expect((await home.setup()).code).toBe(0);
    const after = home.seen();
    const again = await home.setup();
    expect([again.code, again.out.filter((line) => !line.startsWith("unchanged "))]).toEqual([0, []]);
    expect(home.seen()).toEqual(after);
    for (const [path, text] of Object.entries(before)) {
      if (text.length < 10 || !(path in after) || path.endsWith("x")) continue;
      expect(after[path]?.slice(0, 6), "the mode stays").toBe(text.slice(0, 6));
    }
    expect(await home.setup(["--remove"])).toMatchObject({ code: 0 });
    expect(home.seen()).toEqual(before);
    expect(await home.setup(["--remove"])).toMatchObject({ code: 0, out: ["there was nothing of ours"] });
  });

  test("interrupted at any step, whether that was kept or not, setup and remove still do", async () => {
    const before = home.seen();
    let steps = 0;
    const counted = failing(Number.POSITIVE_INFINITY, "before", () => steps++);
    await home.setup([], counted);
    const whole = home.seen();
    await home.setup(["--remove"]);
    expect(steps).toBeGreaterThan(5);
    for (const when of ["before", "after"] as const)
      for (let step = 0; step < steps; step++) {
        await expect(home.setup([], failing(step, when)), `${when} ${step}`).rejects.toThrow(
          "the disk is full",
        );
        expect((await home.setup()).code).toBe(0);
        expect(recorded(home.seen()), `${when} ${step}, then setup`).toEqual(recorded(whole));
        expect((await home.setup(["--remove"])).code).toBe(0);
        await expect(home.setup([], failing(step, when))).rejects.toThrow("the disk is full");
        expect((await home.setup(["--remove"])).code).toBe(0);
        expect(withoutEmpty(home.seen()), `${when} ${step}, then remove`).toEqual(withoutEmpty(before));
        clean(before);
      }
  });

  test("a remove that was interrupted is done by the next one", async () => {
    const before = home.seen();
    await home.setup();
    for (const when of ["before", "after"] as const)
      for (let step = 0; step < 6; step++) {
        await expect(home.setup(["--remove"], failing(step, when))).rejects.toThrow("the disk is full");
        expect((await home.setup(["--remove"])).code).toBe(0);
        expect(withoutEmpty(home.seen()), `${when} ${step}`).toEqual(withoutEmpty(before));
        clean(before);
        await home.setup();
      }
  });
});

/** The directory of the record itself is made before the record can say so: interrupted there, it stays, empty. */
const recorded = (tree: Record<string, string>) => ({
  ...tree,
  ".cursor/steno.json": tree[".cursor/steno.json"]
    ?.replace('      ".cursor",\n', "")
    .replace('    ".cursor",\n', ""),
});
const withoutEmpty = (tree: Record<string, string>) =>
  Object.fromEntries(Object.entries(tree).filter(([, text]) => !text.startsWith("4")));
function clean(before: Record<string, string>): void {
  for (const path of Object.keys(home.seen()).toReversed())
    if (!(path in before)) rmSync(join(home.path, path), { recursive: true });
}
