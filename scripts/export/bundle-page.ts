/** Builds the auditor's page: one HTML text whose script and style stand in its own policy by their digests. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { build } from "esbuild";

const PAGE = join(import.meta.dirname, "page");

/** Where a session's evidence goes. */
export const EVIDENCE_MARK = "<!-- evidence -->";

/** What stands in for Node's modules in a browser, as esbuild's aliases. */
export const nodeModules = (): Record<string, string> =>
  Object.fromEntries(
    ["buffer", "crypto", "zlib"].map((name) => [`node:${name}`, join(PAGE, `node/${name}.ts`)]),
  );

/** The page without evidence. The same sources make the same bytes. Throws when they do not bundle. */
export async function bundlePage(): Promise<string> {
  const result = await build({
    entryPoints: [join(PAGE, "main.ts"), join(PAGE, "page.css")],
    outdir: "page",
    write: false,
    bundle: true,
    format: "iife",
    platform: "browser",
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    alias: nodeModules(),
    minify: true,
    charset: "utf8",
    legalComments: "eof",
    logLevel: "warning",
  });
  const script = textOf(result.outputFiles, ".js");
  const style = textOf(result.outputFiles, ".css");
  const policy = [
    "default-src 'none'",
    `script-src '${digest(script)}'`,
    `style-src '${digest(style)}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Steno</title>
<style>${style}</style>
</head>
<body>
<noscript>This page verifies the evidence in it with its own script, which is switched off. Run npx steno verify on the file instead.</noscript>
${EVIDENCE_MARK}
<script>${script}</script>
</body>
</html>
`;
}

function textOf(files: readonly { readonly path: string; readonly text: string }[], end: string): string {
  const text = files.find(({ path }) => path.endsWith(end))?.text.trim();
  if (!text) throw new Error(`the page's ${end} was not built`);
  // Either would end the element, or begin a comment, before the text is over.
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error(`the page's ${end} cannot stand in HTML`);
  return text;
}

const digest = (text: string): string => `sha256-${createHash("sha256").update(text).digest("base64")}`;
