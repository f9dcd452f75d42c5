// What a page does with the package as npm installs it and with nothing built: modules, an import map, a browser.
import { createReadStream, existsSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { chromium } from "playwright-core";
import { CHROMIUM_FLAGS, chromiumPath } from "./chromium.mjs";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** The import map that docs/browser.md shows. */
const IMPORTS = {
  hooklens: "./node_modules/hooklens/dist/browser.js",
  "hooklens/worker": "./node_modules/hooklens/dist/worker.js",
  birpc: "./node_modules/birpc/dist/index.mjs",
  "@huggingface/tokenizers": "./node_modules/@huggingface/tokenizers/dist/tokenizers.mjs",
};

function serve(folder) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = normalize(join(folder, decodeURIComponent(pathname)));
    if (!path.startsWith(folder + sep) || !existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-length": statSync(path).size });
    createReadStream(path).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/**
 * Runs `script`, a module, in a page beside the installed package.
 * @param {string} folder where the package is installed
 * @param {string} script
 * @returns {Promise<string[]>} what the page logged, errors with `ERROR` before them, until it logged `done`
 */
export async function runInPage(folder, script) {
  const map = `<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;
  const head = `<!doctype html><link rel="icon" href="data:,">${map}`;
  writeFileSync(join(folder, "page.html"), `${head}<script type="module">${script}</script>`);
  const server = await serve(folder);
  const browser = await chromium.launch({ args: [...CHROMIUM_FLAGS], executablePath: chromiumPath() });
  try {
    const page = await browser.newPage();
    const said = [];
    const over = new Promise((resolve) => {
      const say = (text) => {
        if (text === "done") resolve();
        else said.push(text);
        if (text.startsWith("ERROR")) resolve();
      };
      page.on("console", (message) => {
        const bad = ["error", "warning"].includes(message.type());
        say(bad ? `ERROR ${message.text()}` : message.text());
      });
      page.on("pageerror", (error) => say(`ERROR ${error.message}`));
      setTimeout(() => say("ERROR nothing more came of the page for a minute"), 60_000).unref();
    });
    await page.goto(`http://127.0.0.1:${server.address().port}/page.html`);
    await over;
    return said;
  } finally {
    await browser.close();
    server.close();
  }
}
