// Generated histories, pushed in pairs of commits: what the gateway says they change, beside what git diff --raw says.
import { imported, numbers } from "#test/unit/git/push/histories.ts";
import { asRaw, bodyOf, inspected, rawDiff, servedBy } from "#test/unit/git/push/pushing.ts";
import { git, makeWorkspace } from "#test/unit/git/repository.ts";
import type { Row } from "../measure.ts";

const PAIRS = 6;
const COMMITS = 12;

/** Throws with the seed and both lists where they differ. */
export async function agree(histories: number): Promise<Row[]> {
  const workspace = makeWorkspace();
  const counts = { pairs: 0, paths: 0 };
  try {
    for (let seed = 1000; seed < 1000 + histories; seed++) {
      const format = seed % 4 === 0 ? "sha256" : "sha1";
      const path = await imported(workspace, seed, COMMITS, format);
      const commits = (await git(workspace, path, "rev-list", "--all")).split("\n");
      const pick = numbers(seed);
      for (let pair = 0; pair < PAIRS; pair++) {
        const [next = "", old = ""] = [commits[pick(commits.length)], commits[pick(commits.length)]];
        if (next === old) continue;
        const body = await bodyOf(workspace, path, [[old, next, "refs/heads/main"]]);
        const pushed = await inspected(body, servedBy(workspace, path));
        const told = pushed.changes.filter(({ ref }) => ref !== undefined).flatMap(asRaw);
        const said = await rawDiff(workspace, path, old, next);
        if (pushed.uncompared.length > 0 || told.join("\n") !== said.join("\n"))
          throw new Error(`history ${seed}, ${old} to ${next}: ${pushed.uncompared}\n${told}\n${said}`);
        counts.pairs += 1;
        counts.paths += said.length;
      }
    }
  } finally {
    workspace.remove();
  }
  return [{ what: "as git diff --raw", histories, ...counts, differences: 0 }];
}
