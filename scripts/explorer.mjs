// The explorer page: `serve` runs it with Vite's server, `build` makes explorer/dist, a folder for any file host.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { installPackages } from "./setup.mjs";
import { fail, root, run } from "./steps.mjs";

const [what = "serve", ...more] = process.argv.slice(2);
if (!["serve", "build"].includes(what)) fail(`expected serve or build, got ${what}`);

installPackages();
if (!existsSync(join(root, "wasm", "hooklens_bg.wasm"))) {
  run("Building the engine as WebAssembly (some minutes the first time)", "node", ["scripts/build-wasm.mjs"]);
}
const { build, createServer } = await import("vite");
const configFile = join(root, "explorer", "vite.config.ts");
if (what === "build") {
  await build({ configFile });
} else {
  const server = await createServer({ configFile, server: { open: more.includes("--open") } });
  await server.listen();
  server.printUrls();
}
