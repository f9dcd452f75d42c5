import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { dirname, join, normalize, resolve, sep } from "node:path";
import type { Plugin } from "vite";

/** Where models are. */
const FOLDERS = ["models", "tests/fixtures"];

const isBelow = (path: string, folder: string) => path === folder || path.startsWith(folder + sep);

/**
 * Lets pages read the repository's files: what stands for `node:fs` there asks for them, and their paths are addresses.
 * `HOOKLENS_GOLDEN` names another folder of fixtures, as in Node.
 */
export function repositoryFiles(root: string): Plugin {
  const { HOOKLENS_GOLDEN } = process.env;
  const golden = HOOKLENS_GOLDEN ? [resolve(HOOKLENS_GOLDEN)] : [];
  const models = [...FOLDERS.map((folder) => join(root, folder)), ...golden];
  /** A path as it is, or from the repository's folder on. */
  const pathOf = (given: string) =>
    [root, ...golden].some((folder) => isBelow(given, folder)) ? given : join(root, given);
  return {
    name: "repository-files",
    enforce: "pre",
    // The suite of workers is the same; how one is started is not.
    resolveId: (source, importer) => {
      if (importer?.includes("/tests/worker/") !== true) return null;
      if (source === "./start.ts") return join(root, "tests/browser/start-worker.ts");
      return source.endsWith("/worker-node.ts") ? join(root, "ts/worker.ts") : null;
    },
    transform: (code, id) => {
      if (!id.startsWith(`${root}/tests/`) || !code.includes("import.meta.dirname")) return null;
      return code.replaceAll("import.meta.dirname", JSON.stringify(dirname(id.replace(/\?.*/, ""))));
    },
    configureServer: ({ middlewares }) => {
      middlewares.use("/__files", (request, response) => {
        const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost");
        if (pathname === "/env") return response.end(JSON.stringify({ HOOKLENS_GOLDEN: golden[0] }));
        const path = pathOf(normalize(searchParams.get("path") ?? ""));
        if (![root, ...golden].some((folder) => isBelow(path, folder))) return response.writeHead(403).end();
        if (!existsSync(path)) return response.writeHead(404).end();
        const stat = statSync(path);
        if (pathname === "/read") return response.end(stat.isFile() ? readFileSync(path) : undefined);
        const told =
          pathname === "/list" ? readdirSync(path) : { directory: stat.isDirectory(), size: stat.size };
        return response.end(JSON.stringify(told));
      });
      // A folder's path, as suites give it to `fromPretrained`, is an address relative to the page.
      middlewares.use((request, response, next) => {
        const { pathname } = new URL(request.url ?? "", "http://localhost");
        const path = pathOf(normalize(decodeURIComponent(pathname)));
        // Modules are asked for by their paths too, some with a query.
        const isFile = models.some((folder) => isBelow(path, folder));
        if (isFile && !request.url?.includes("?")) sendFile(path, request, response);
        else next();
      });
    },
  };
}

/** A file, or the range of it that is asked for. */
function sendFile(path: string, request: IncomingMessage, response: ServerResponse): void {
  if (!existsSync(path) || !statSync(path).isFile()) {
    response.writeHead(404).end();
    return;
  }
  const { size } = statSync(path);
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const from = Number(first ?? 0);
  const until = Math.min(size, last ? Number(last) + 1 : size);
  if (from >= until && size > 0) {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  const isPart = first !== undefined;
  response.writeHead(isPart ? 206 : 200, {
    "content-length": until - from,
    "accept-ranges": "bytes",
    ...(isPart ? { "content-range": `bytes ${from}-${until - 1}/${size}` } : {}),
  });
  if (size === 0) response.end();
  else createReadStream(path, { start: from, end: until - 1 }).pipe(response);
}
