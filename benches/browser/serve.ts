/** Serves the bench's pages, what they are compared with, and the model; twice: as they are, and cross-origin isolated. */

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** What lets a page share memory with its workers, which threads need. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

export interface Server {
  /** The address of a page, by the name of its script. */
  page(name: string, isolated: boolean, parameters: Readonly<Record<string, string>>): string;
  close(): void;
}

/** Serves `folders` by their names; `pages` is where scripts are that have a page each. */
export async function serve(folders: Readonly<Record<string, string>>): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const [, kind, name = "", ...rest] = normalize(decodeURIComponent(pathname)).split("/");
    const headers: Record<string, string> = kind === "isolated" ? ISOLATED : {};
    const [script, ending] = rest.at(-1)?.split(".") ?? [];
    if (name === "pages" && ending === "html") {
      response.writeHead(200, { ...headers, "content-type": "text/html" });
      response.end(
        `<!doctype html><title>${script}</title><link rel="icon" href="data:,"><script type="module" src="./${script}.js"></script>`,
      );
      return;
    }
    const folder = folders[name];
    const path = join(folder ?? "", ...rest);
    if (folder === undefined || !existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404, headers).end();
      return;
    }
    const size = statSync(path).size;
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last), size - 1) : size - 1;
    response.writeHead(first === undefined ? 200 : 206, {
      ...headers,
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
      "content-length": `${end - start + 1}`,
      ...(first === undefined ? {} : { "content-range": `bytes ${start}-${end}/${size}` }),
    });
    createReadStream(path, { start, end }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    page: (name, isolated, parameters) =>
      `http://127.0.0.1:${port}/${isolated ? "isolated" : "plain"}/pages/${name}.html?${new URLSearchParams(parameters)}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
