import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { dirname, join, sep } from "node:path";
import type { Plugin } from "vite";

/** Where models are. */
const FOLDERS = ["models", "tests/fixtures"];

/** The path that an address means, which is one from the root folder or below the repository's. */
function pathOf(root: string, { url = "" }: IncomingMessage): string {
  const path = decodeURIComponent(new URL(url, "http://localhost").pathname);
  return path.startsWith(root + sep) ? path : join(root, path);
}

/** Lets pages read the repository's files: what stands for `node:fs` there asks for them, and their paths are addresses. */
export function repositoryFiles(root: string): Plugin {
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
        const given = searchParams.get("path") ?? "";
        const path = given.startsWith(root + sep) ? given : join(root, given);
        if (!path.startsWith(root + sep)) return response.writeHead(403).end();
        if (!existsSync(path)) return response.writeHead(404).end();
        const stat = statSync(path);
        if (pathname === "/read") return response.end(stat.isFile() ? readFileSync(path) : undefined);
        const told =
          pathname === "/list" ? readdirSync(path) : { directory: stat.isDirectory(), size: stat.size };
        return response.end(JSON.stringify(told));
      });
      // A folder's path, as suites give it to `fromPretrained`, is an address relative to the page.
      middlewares.use((request, response, next) => {
        const path = pathOf(root, request);
        // Modules are asked for by their paths too, some with a query.
        const isFile = FOLDERS.some((folder) => path.startsWith(join(root, folder) + sep));
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
