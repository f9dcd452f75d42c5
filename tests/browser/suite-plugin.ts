import { relative } from "node:path";
import type { Plugin } from "vite";

/** Runs test files in workers: a page that imports one gets what starts the worker, which gets the file itself. */
export function suitesInWorkers(root: string): Plugin {
  const isSuite = (path: string) => /\.test\.ts$/.test(path) && path.startsWith(`${root}/tests/`);
  return {
    name: "suites-in-workers",
    enforce: "pre",
    load(id) {
      const [path = "", query = ""] = id.split("?");
      if (!isSuite(path) || query.includes("suite")) return null;
      const file = `/${relative(root, path)}?suite`;
      return `import { runInWorker } from "/tests/browser/in-worker.ts"; await runInWorker(${JSON.stringify(file)});`;
    },
  };
}
