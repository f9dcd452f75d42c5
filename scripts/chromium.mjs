// The browser that tests run in: `CHROMIUM_PATH`, or where distributions put theirs, or installed with apt.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fail, run } from "./steps.mjs";

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The path of the browser; undefined if there is none. */
export function chromiumPath() {
  return process.env.CHROMIUM_PATH || PLACES.find((path) => existsSync(path));
}

/** How it is started: without a window, and without calls home that a test would have to wait for. */
export const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Installs the browser where that needs no questions asked; otherwise says what to do. */
export function installChromium() {
  const found = chromiumPath();
  if (found !== undefined && !existsSync(found)) fail(`CHROMIUM_PATH: there is no '${found}'`);
  if (found !== undefined) return;
  const debian = process.platform === "linux" && spawnSync("apt-get", ["--version"]).status === 0;
  if (!debian || process.getuid?.() !== 0) {
    fail("tests in a page need Chromium: install it, or name one with CHROMIUM_PATH");
  }
  const packages = ["install", "-y", "--no-install-recommends", "chromium"];
  run("Looking for packages", "apt-get", ["update", "-qq"]);
  run("Installing Chromium", "apt-get", packages, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}
