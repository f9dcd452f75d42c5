// Puts what the worker of a page imports into its one script: import maps, with which pages without a bundler name packages,
// do not reach into workers. `node scripts/build-worker.mjs`, after TypeScript was compiled.
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "./steps.mjs";

const script = join(root, "dist/worker/main-browser.js");

await build({
  entryPoints: [script],
  outfile: script,
  allowOverwrite: true,
  bundle: true,
  format: "esm",
  target: "es2022",
  // The engine's glue stays where it is, beside the engine. Its path is the same from here.
  external: ["*/wasm/hooklens.js"],
  legalComments: "eof",
  logLevel: "warning",
});
