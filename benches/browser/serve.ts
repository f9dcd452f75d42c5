/** Serves the bench's pages, what they are compared with, and the model; twice: as they are, and cross-origin isolated. */

import { createReadStream, existsSync, statSync } from "node:fs";
import { join, normalize } from "node:path";
import { listen, mediaType } from "../../scripts/web-server.mjs";

/** What lets a page share memory with its workers, which threads need. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

export interface Server {
  /** The address of a page, by the name of its script. */
  page(name: string, isolated: boolean, parameters: Readonly<Record<string, string>>): string;
  close(): Promise<void>;
}

/** Serves `folders` by their names; `pages` is where scripts are that have a page each. */
export async function serve(folders: Readonly<Record<string, string>>): Promise<Server> {
  const server = await listen((request, response) => {
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
      "content-type": mediaType(path),
      "content-length": `${end - start + 1}`,
      ...(first === undefined ? {} : { "content-range": `bytes ${start}-${end}/${size}` }),
    });
    createReadStream(path, { start, end }).pipe(response);
  });
  return {
    page: (name, isolated, parameters) =>
      `${server.url}/${isolated ? "isolated" : "plain"}/pages/${name}.html?${new URLSearchParams(parameters)}`,
    close: server.close,
  };
}
