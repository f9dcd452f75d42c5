/** The explorer's page, built and served under a sub-path as any file host would, in a browser. */

import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { launchOptions } from "../../scripts/chromium.mjs";
import { type Listening, listen, mediaType } from "../../scripts/web-server.mjs";

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const SUB_PATH = "/some/where/";

function serve(folder: string): Promise<Listening> {
  return listen((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    const name = pathname.startsWith(SUB_PATH) ? pathname.slice(SUB_PATH.length) || "index.html" : "";
    const path = join(folder, name);
    if (name === "" || !path.startsWith(folder) || !existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": mediaType(path), "content-length": statSync(path).size });
    createReadStream(path).pipe(response);
  });
}

/** The page on a server. */
export interface Host {
  readonly url: string;
  /** Ends the server; what the page asks it then fails. */
  stop(): Promise<void>;
}

/** A browser and the address of the page. */
export interface Served extends AsyncDisposable {
  readonly browser: Browser;
  readonly url: string;
  /** The page on a server of its own. */
  another(): Promise<Host>;
}

/** Builds the page, serves it, and starts a browser. */
export async function servedPage(): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), "hooklens-explorer-"));
  // In a process of its own: in this one everything is built as for tests.
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const vite = [path("node_modules/vite/bin/vite.js"), "build", path("explorer")];
  const how = ["--config", path("explorer/vite.config.ts"), "--outDir", folder, "--emptyOutDir"];
  execFileSync(process.execPath, [...vite, ...how, "--logLevel", "error"], { env, stdio: "pipe" });
  const another = async (): Promise<Host> => {
    const server = await serve(folder);
    return { url: server.url + SUB_PATH, stop: server.close };
  };
  const host = await another();
  const browser = await chromium.launch(launchOptions());
  return {
    browser,
    url: host.url,
    another,
    async [Symbol.asyncDispose]() {
      await browser.close();
      await host.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** axe-core, to be run in a page. */
export const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How a page is visited: the link's end, and what the browser says of itself. */
export type VisitOptions = { hash?: string } & Parameters<Browser["newContext"]>[0];

/** Everything that a page complained about. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) found.push(message.text());
  });
  page.on("pageerror", (error) => found.push(String(error)));
  return found;
}

/** Keeps a picture of the whole page, to be looked at, in the folder that `HOOKLENS_SCREENSHOTS` names. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env["HOOKLENS_SCREENSHOTS"];
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** Runs `flow` in a page of its own; at the end the page may have complained about nothing. */
export async function visit(
  { browser, url }: Served,
  flow: (page: Page, found: string[]) => Promise<void>,
  { hash = "", ...options }: VisitOptions = {},
): Promise<void> {
  const context = await browser.newContext(options);
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const found = complaints(page);
    await page.goto(url + hash);
    await flow(page, found);
    expect(found).toEqual([]);
  } finally {
    await context.close();
  }
}
