/** Bundles the workers: `dist/main.js`, its chunks and `cedar.wasm`, with a digest over them in `dist/build.json`; and the page. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build as esbuild } from "esbuild";
import * as v from "valibot";
import { bundlePage } from "./export/bundle-page.ts";
import { PAGE_NAME } from "./export/write-page.ts";

export const ROOT = join(import.meta.dirname, "..");
export const DIST = join(ROOT, "dist");
const ENTRY = join(ROOT, "workers/main.ts");
const CEDAR = join(ROOT, "node_modules/@cedar-policy/cedar-wasm/web/cedar_wasm_bg.wasm");

const Build = v.object({
  /** SHA-256, hex, over the lines `<sha256>  <name>` of all modules, ordered by name: what `sha256sum` prints. */
  digest: v.string(),
  modules: v.array(v.object({ name: v.string(), bytes: v.number(), sha256: v.string() })),
});
export type Build = v.InferOutput<typeof Build>;

// The AWS SDK's Node build still calls require() for node: modules (workerd has no global require).
const BANNER =
  'import { createRequire as __stenoRequire } from "node:module"; const require = __stenoRequire("/");';

/** Bundles `entry` into `out`, which then holds nothing else. Throws when it does not bundle. */
export async function build(entry = ENTRY, out = DIST): Promise<Build> {
  if (!existsSync(entry)) throw new Error(`${entry} is missing: there is nothing to bundle`);
  const result = await esbuild({
    entryPoints: { main: entry },
    outdir: out,
    write: false,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "es2024",
    // Not "browser" and not "worker": with those the AWS SDK resolves to builds that fail in workerd.
    conditions: ["workerd"],
    external: ["cloudflare:*", "node:*", "./cedar.wasm"],
    banner: { js: BANNER },
    chunkNames: "[name]-[hash]",
    minifySyntax: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "hono/jsx",
    logLevel: "warning",
  });
  mkdirSync(out, { recursive: true });
  const contents = new Map(result.outputFiles.map((file) => [basename(file.path), file.contents]));
  contents.set("cedar.wasm", readFileSync(CEDAR));
  contents.set(PAGE_NAME, Buffer.from(await bundlePage()));
  for (const [name, bytes] of contents) replace(join(out, name), bytes);
  for (const name of readdirSync(out)) {
    // What another build is about to rename is not ours to remove.
    if (!contents.has(name) && !name.endsWith(".new"))
      rmSync(join(out, name), { recursive: true, force: true });
  }
  const built = describe(out);
  replace(join(out, "build.json"), `${JSON.stringify(built, null, 2)}\n`);
  return built;
}

/** Whole or not at all: another build, or a start, may look at the same time. */
function replace(path: string, content: string | Uint8Array): void {
  const next = `${path}.${process.pid}.new`;
  writeFileSync(next, content);
  renameSync(next, path);
}

function describe(out: string): Build {
  const names = readdirSync(out).filter((name) => /\.(js|wasm)$/.test(name));
  const modules = names.toSorted().map((name) => {
    const bytes = readFileSync(join(out, name));
    return { name, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
  const lines = modules.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join("");
  return { digest: createHash("sha256").update(lines).digest("hex"), modules };
}

/** What `build` wrote, checked against the files: a bundle that was changed since is not served. */
export function readBuild(out = DIST): Build {
  const path = join(out, "build.json");
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm run build`);
  const written = v.parse(Build, JSON.parse(readFileSync(path, "utf8")));
  if (describe(out).digest !== written.digest)
    throw new Error(`${out} is not what was built: run npm run build`);
  return written;
}

async function main(): Promise<void> {
  const [out = DIST] = process.argv.slice(2);
  const { digest, modules } = await build(ENTRY, out);
  for (const { name, bytes } of modules)
    console.log(`${String(Math.ceil(bytes / 1024)).padStart(6)} KiB  ${name}`);
  console.log(`build ${digest}`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main().catch((thrown: unknown) => {
    console.error(`build: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    process.exitCode = 1;
  });
}
