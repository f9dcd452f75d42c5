import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import type { Plugin } from "vite";

/** Lets pages read the repository's files: what stands for `node:fs` there asks for them. */
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
    },
  };
}
