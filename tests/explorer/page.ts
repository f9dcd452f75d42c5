/** The explorer's page, built and served under a sub-path as any file host would, in a browser. */

import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { CHROMIUM_FLAGS, chromiumPath } from "../../scripts/chromium.mjs";

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

const SUB_PATH = "/some/where/";

function serve(folder: string): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    const name = pathname.startsWith(SUB_PATH) ? pathname.slice(SUB_PATH.length) || "index.html" : "";
    const path = join(folder, name);
    if (name === "" || !path.startsWith(folder) || !existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-length": statSync(path).size });
    createReadStream(path).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** The page on a server. */
export interface Host {
  readonly url: string;
  /** Ends the server; what the page asks it then fails. */
  stop(): void;
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
    const { port } = server.address() as AddressInfo;
    return {
      url: `http://127.0.0.1:${port}${SUB_PATH}`,
      stop: () => {
        server.close();
        server.closeAllConnections();
      },
    };
  };
  const host = await another();
  const executablePath = chromiumPath();
  const browser = await chromium.launch({
    args: [...CHROMIUM_FLAGS],
    ...(executablePath === undefined ? {} : { executablePath }),
  });
  return {
    browser,
    url: host.url,
    another,
    async [Symbol.asyncDispose]() {
      await browser.close();
      host.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

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
