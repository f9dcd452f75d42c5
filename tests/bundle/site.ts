/** A page that has the library, on a server of its own, in browsers that may lack something. */

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { CHROMIUM_FLAGS, chromiumPath } from "../../scripts/chromium.mjs";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** Starts Chromium, with options of V8. */
export function browser(...v8: readonly string[]): Promise<Browser> {
  const executablePath = chromiumPath();
  return chromium.launch({
    args: [...CHROMIUM_FLAGS, ...(v8.length === 0 ? [] : [`--js-flags=${v8.join(" ")}`])],
    ...(executablePath === undefined ? {} : { executablePath }),
  });
}

/** A server of a folder. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  /** Answers requests for the engine in place of the server; null for the server's own answer. */
  engine: ((response: ServerResponse) => void) | null;
}

export async function site(folder: string): Promise<Site> {
  let own: Site;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = join(folder, pathname);
    if (path.endsWith(".wasm") && own.engine !== null) return own.engine(response);
    if (!existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end("no such file");
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    // Nothing may come out of the browser's memory where the server is said to have failed.
    response.writeHead(200, { "content-type": type, "cache-control": "no-store" });
    return createReadStream(path).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  own = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    engine: null,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
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
