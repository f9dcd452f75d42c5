// The explorer page: `serve` runs it with Vite's server, `build` makes explorer/dist, a folder for any file host.
import { join } from "node:path";
import { buildWasm, installPackages } from "./setup.mjs";
import { fail, root } from "./steps.mjs";

const [what = "serve", ...more] = process.argv.slice(2);
if (!["serve", "build"].includes(what)) fail(`expected serve or build, got ${what}`);

installPackages();
buildWasm();
const { build, createServer } = await import("vite");
const configFile = join(root, "explorer", "vite.config.ts");
if (what === "build") {
  await build({ configFile });
} else {
  const server = await createServer({ configFile, server: { open: more.includes("--open") } });
  await server.listen();
  server.printUrls();
}
