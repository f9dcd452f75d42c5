// Pages as users ship them, in Chromium: built by Vite, or as modules with an import map and nothing built.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHROMIUM_FLAGS, chromiumPath } from "../../scripts/chromium.mjs";
import { MODELS, serve } from "../loading/server.ts";
import { canServe } from "../support/serving.ts";
import { compile, project, withVite } from "./bundlers.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** What pages may do: run their own files and WebAssembly. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; img-src data:";

/** What a page may do that loads models from another site. */
const OPEN_POLICY = POLICY.replace("connect-src 'self'", "connect-src 'self' http://127.0.0.1:*");

const executablePath = chromiumPath();

describe.runIf(canServe)("in Chromium", () => {
  let folder: string;
  let remove: (() => void) | undefined;
  let server: Server;
  let browser: Browser;
  let base: string;

  beforeAll(async () => {
    compile();
    ({ folder, remove } = await project());
    server = createServer((request, response) => {
      const path = join(folder, new URL(request.url ?? "/", "http://localhost").pathname);
      if (!existsSync(path)) return response.writeHead(404).end();
      const type = TYPES[extname(path)] ?? "application/octet-stream";
      const allowed = path.includes("/vite-other-site/") ? OPEN_POLICY : POLICY;
      const policy = path.includes("/vite-") ? { "content-security-policy": allowed } : {};
      return response.writeHead(200, { "content-type": type, ...policy }).end(readFileSync(path));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({
      args: [...CHROMIUM_FLAGS],
      ...(executablePath === undefined ? {} : { executablePath }),
    });
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
    remove?.();
  });

  /** What a page logs until it has logged `lines` lines or one like `last`, or nothing more for half a minute. */
  async function logged(address: string, lines: number, truncated = 0, last?: RegExp): Promise<string[]> {
    const page = await browser.newPage();
    const said: string[] = [];
    let broken = truncated;
    await page.route("**/*.wasm", async (route) => {
      if (broken-- <= 0) return route.continue();
      const whole = await route.fetch();
      return route.fulfill({ response: whole, body: (await whole.body()).subarray(0, 100_000) });
    });
    page.on("console", (message) =>
      said.push(message.type() === "error" ? `ERROR ${message.text()}` : message.text()),
    );
    page.on("pageerror", (error) => said.push(`ERROR ${error.message}`));
    await page.goto(`${base}/${address}`);
    const isDone = () => said.length >= lines || last?.test(said.at(-1) ?? "") === true;
    for (let waited = 0; waited < 600 && !isDone(); waited++) await page.waitForTimeout(50);
    await page.close();
    return said;
  }

  test("a page built by Vite runs under a strict policy", async () => {
    await withVite(folder, "modules");
    expect(await logged("vite-modules/modules.html", 1)).toEqual(["2"]);
  });

  test("a page built by Vite runs a model in a worker", async () => {
    await withVite(folder, "threaded");
    expect(await logged("vite-threaded/threaded.html", 2)).toEqual(["wasm 30", "disposed"]);
  });

  test("an engine that is cut off is told, and fetched again", async () => {
    await withVite(folder, "retry");
    expect(await logged("vite-retry/retry.html", 2, 1)).toEqual(["download_failed", "wasm 2"]);
  });

  test("a model of another site is loaded if that site lets pages read it, and what is missing is named", async () => {
    await withVite(folder, "other-site");
    const page = "vite-other-site/other-site.html";
    await using open = await serve({ root: MODELS });
    expect(await logged(`${page}#${open.url("induction")}`, 1)).toEqual(["loaded 2"]);
    await using closed = await serve({ root: MODELS, cors: false });
    const said = await logged(`${page}#${closed.url("induction")}`, 100, 0, /^download_failed/);
    expect(said.at(-1)).toContain(`let pages of ${base} read its files (CORS: `);
    expect(said.at(-1)).toContain(closed.url("induction/"));
  });

  test("modules with an import map run with nothing built", async () => {
    const imports = {
      "hooklens/lazy": "/node_modules/hooklens/dist/lazy.js",
      "@huggingface/tokenizers":
        "/node_modules/hooklens/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs",
    };
    const script =
      'import { initEngine, zeros } from "hooklens/lazy"; await initEngine(); console.log(zeros([2]).add(1).toArray(1).join());';
    writeFileSync(
      join(folder, "map.html"),
      `<!doctype html><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script><script type="module">${script}</script>`,
    );
    expect(await logged("map.html", 1)).toEqual(["1,1"]);
  });
});
