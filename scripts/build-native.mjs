// Builds the Node addon in release mode and puts it into its platform package below npm/. cargo decides what is fresh.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fail, root } from "./steps.mjs";

const libraries = {
  linux: "libhooklens_node.so",
  darwin: "libhooklens_node.dylib",
  win32: "hooklens_node.dll",
};

/** The name of this machine's platform package, such as `linux-x64-gnu`. */
function platform() {
  const { platform: os, arch } = process;
  if (os !== "linux") return `${os}-${arch}`;
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  return `${os}-${arch}-${glibc ? "gnu" : "musl"}`;
}

const name = platform();
const folder = join(root, "npm", name);
if (!existsSync(folder)) fail(`there is no npm/${name}: this platform is not built yet`);

const cargo = ["build", "--release", "--package", "hooklens-node"];
const built = spawnSync("cargo", cargo, { cwd: root, stdio: "inherit" });
if (built.error) fail(`cargo: ${built.error.message}; install Rust 1.95 or newer`);
if (built.status !== 0) fail(`cargo ${cargo.join(" ")} ended with ${built.status ?? built.signal}`);

const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const from = join(target, "release", libraries[process.platform]);
const to = join(folder, `hooklens.${name}.node`);
if (!existsSync(to) || statSync(to).mtimeMs < statSync(from).mtimeMs) {
  // A running process keeps the file that it loaded: replace the name, never the content.
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}

const manifest = join(folder, "package.json");
const [main, own] = [join(root, "package.json"), manifest].map((path) =>
  JSON.parse(readFileSync(path, "utf8")),
);
if (own.version !== main.version) {
  writeFileSync(manifest, `${JSON.stringify({ ...own, version: main.version }, null, 2)}\n`);
}
console.error(`${to}: ${(statSync(to).size / 2 ** 20).toFixed(1)} MiB`);
