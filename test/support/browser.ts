// Debian's Chromium, without a network of its own, and pages of it that note whatever they try to do.
import { type Browser, chromium, type Page } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });

export type Watched = {
  readonly page: Page;
  /** URLs it asked for, beside the one it was opened with. */
  readonly asked: string[];
  /** What it complained of: violations of its own policy too. */
  readonly said: string[];
  close(): Promise<void>;
};

/** A page that is offline. `before` runs in it before anything of its own does. */
export async function openPage(browser: Browser, path: string, before?: () => void): Promise<Watched> {
  const context = await browser.newContext({ offline: true });
  const page = await context.newPage();
  if (before) await page.addInitScript(before);
  const url = `file://${path}`;
  const asked: string[] = [];
  const said: string[] = [];
  page.on("request", (request) => {
    if (request.url() !== url) asked.push(request.url());
  });
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  await page.goto(url);
  return { page, asked, said, close: () => context.close() };
}
