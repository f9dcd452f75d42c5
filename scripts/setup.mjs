// Installs what the repository needs beside Node and Rust, and builds it: each step only when something changed.
// `node scripts/setup.mjs` does what running the library in Node takes, `node scripts/setup.mjs pages` what tests in a
// browser take besides.
import { spawn, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { installChromium } from "./chromium.mjs";
import { fail, once, root, run } from "./steps.mjs";

const [major] = process.versions.node.split(".");
if (Number(major) < 20) fail(`Node 20 or newer is needed, this is ${process.version}`);

/** npm packages, exactly as locked. */
export function installPackages() {
  once(
    "packages",
    { inputs: ["package-lock.json"], outputs: ["node_modules/typescript"], extra: process.version },
    // The versions of the lock file, as `npm ci` would; but that refuses a lock file without the binaries of platforms
    // that the registry at hand does not carry.
    () =>
      run("Installing npm packages", "npm", [
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
      ]),
  );
}

/** The native addon, with cargo. */
export function buildNative() {
  const rust = spawnSync("rustc", ["--version"], { cwd: root, encoding: "utf8" });
  once(
    "native",
    {
      inputs: [
        "Cargo.toml",
        "Cargo.lock",
        "crates/binding",
        "crates/core",
        "crates/kernels",
        "crates/node",
        "scripts/build-native.mjs",
      ],
      outputs: ["npm/linux-x64-gnu/hooklens.linux-x64-gnu.node"],
      extra: rust.stdout ?? "",
    },
    () => {
      if (rust.status !== 0)
        fail("rustc was not found: install Rust 1.95 or newer from your system or with rustup");
      run("Building the Rust engine (some minutes the first time)", "node", ["scripts/build-native.mjs"]);
    },
  );
}

/** The engine for pages, into wasm/. */
export function buildWasm() {
  const inputs = [
    "Cargo.toml",
    "Cargo.lock",
    "crates/binding",
    "crates/core",
    "crates/kernels",
    "crates/wasm",
  ];
  once(
    "wasm",
    {
      inputs: [...inputs, "scripts/build-wasm.mjs", "scripts/wasm-toolchain.mjs"],
      outputs: ["wasm/hooklens.js", "wasm/hooklens_bg.wasm"],
      extra: spawnSync("rustc", ["--version"], { cwd: root, encoding: "utf8" }).stdout ?? "",
    },
    () => run("Building the engine for pages (some minutes)", "node", ["scripts/build-wasm.mjs"]),
  );
}

/** The TypeScript library, into dist/. */
export function buildLibrary() {
  once(
    "library",
    {
      inputs: ["ts", "tsconfig.json", "tsconfig.build.json", "scripts/build-worker.mjs"],
      outputs: ["dist/index.js", "dist/worker/main-browser.js"],
    },
    () => {
      // What a module that is gone compiled to must not be packed.
      rmSync(join(root, "dist"), { recursive: true, force: true });
      run("Compiling TypeScript", "node", ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);
      run("Bundling the worker's script", "node", ["scripts/build-worker.mjs"]);
    },
  );
}

/** Everything that running the library in Node from a checkout takes. */
export function setup() {
  installPackages();
  buildNative();
  buildLibrary();
}

/**
 * Begins to get what tests in a browser take besides, in a process of its own: Chromium, and the engine for pages. Much of
 * that is downloading, and linking with a single thread, so that other work goes on beside it. Resolves to false where
 * something cannot be had, which was said.
 */
export function startPages() {
  const child = spawn(process.execPath, [join(root, "scripts/setup.mjs"), "browser"], {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
  });
  return new Promise((done) => child.once("close", (code) => done(code === 0)));
}

const PARTS = {
  all: setup,
  browser: () => {
    installChromium();
    buildWasm();
  },
  wasm: buildWasm,
  pages: async () => {
    const ready = startPages();
    setup();
    if (!(await ready)) fail("the library runs in Node, but its tests in pages cannot: see above");
  },
};

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [part = "all"] = process.argv.slice(2);
  const work = PARTS[part] ?? fail(`expected one of ${Object.keys(PARTS).join(", ")}, got ${part}`);
  await work();
}
