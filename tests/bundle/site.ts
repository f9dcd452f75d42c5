/** A page that has the library, on a server of its own, in browsers that may lack something. */

import { createReadStream, existsSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { launchOptions } from "../../scripts/chromium.mjs";
import { listen, mediaType } from "../../scripts/web-server.mjs";

/** Starts Chromium, with options of V8. */
export function browser(...v8: readonly string[]): Promise<Browser> {
  return chromium.launch(launchOptions(...v8));
}

/** A server of a folder. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  /** Answers requests for the engine in place of the server; null for the server's own answer. */
  engine: ((response: ServerResponse) => void) | null;
}

export async function site(folder: string): Promise<Site> {
  let own: Site;
  const server = await listen((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = join(folder, pathname);
    if (path.endsWith(".wasm") && own.engine !== null) return own.engine(response);
    if (!existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end("no such file");
    // Nothing may come out of the browser's memory where the server is said to have failed.
    response.writeHead(200, { "content-type": mediaType(path), "cache-control": "no-store" });
    return createReadStream(path).pipe(response);
  });
  own = {
    url: `${server.url}/`,
    engine: null,
    [Symbol.asyncDispose]: server.close,
  };
  return own;
}

/** What came of a script: what it gave, or the code and the message of what it threw. */
export type Outcome =
  | { readonly value: unknown }
  | { readonly code: string | undefined; readonly message: string };

/** A page with the library. */
export interface Visited extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What it did not catch. */
  readonly uncaught: readonly string[];
  /** What the library warned of. */
  warnings(): Promise<string[]>;
  /** Runs the body of an asynchronous function in the page, where there are `hooklens` and `worker`. */
  run(body: string): Promise<Outcome>;
}

/** Opens the page `library` as Vite built it. */
export async function visit(launched: Browser, { url }: Site): Promise<Visited> {
  const context = await launched.newContext();
  const page = await context.newPage();
  const uncaught: string[] = [];
  page.on("pageerror", (error) => uncaught.push(error.message));
  await page.goto(`${url}vite-library/library.html`);
  await page.waitForFunction("globalThis.ready === true");
  return {
    context,
    page,
    uncaught,
    warnings: () => page.evaluate("warnings"),
    run: (body) =>
      page.evaluate(
        `(async () => {${body}})().then(
          (value) => ({ value }),
          (error) => ({ code: error.code, message: String(error.message) }),
        )`,
      ),
    async [Symbol.asyncDispose]() {
      await context.close();
    },
  };
}
