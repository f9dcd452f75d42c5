// `npm test`: set-up, then every test there is. Ends with one line that sums all runners.
// Extra arguments go to vitest: `npm test -- tests/hooks`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setup, startPages } from "./setup.mjs";
import { root } from "./steps.mjs";

const filters = process.argv.slice(2);
const counts = { passed: 0, failed: 0 };

/** cargo prints one `test result:` line a binary; a build that fails prints none and counts as a failure. */
function cargoTests() {
  console.log("\n== cargo tests ==");
  const result = spawnSync("cargo", ["test", "--release", "--workspace", "--no-fail-fast"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  process.stdout.write(result.stdout);
  let failed = 0;
  for (const [, p, f] of result.stdout.matchAll(/^test result: .*? (\d+) passed; (\d+) failed/gm)) {
    counts.passed += Number(p);
    failed += Number(f);
  }
  counts.failed += result.status === 0 ? 0 : Math.max(failed, 1);
}

function vitestTests(title = "vitest", options = [], env = {}) {
  console.log(`\n== ${title} ==`);
  const report = join(root, ".cache", "vitest.json");
  mkdirSync(join(root, ".cache"), { recursive: true });
  rmSync(report, { force: true });
  const result = spawnSync(
    "node",
    [
      "node_modules/vitest/vitest.mjs",
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      ...options,
      ...filters,
    ],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } },
  );
  const { numPassedTests = 0, numFailedTests = 0 } = existsSync(report)
    ? JSON.parse(readFileSync(report, "utf8"))
    : {};
  counts.passed += numPassedTests;
  counts.failed += result.status === 0 ? numFailedTests : Math.max(numFailedTests, 1);
}

/** The same suites on WebAssembly: in this process, and in Chromium, in a page and in a worker. */
function browserTests(ready) {
  if (ready) {
    vitestTests("vitest on WebAssembly", [], { HOOKLENS_ENGINE: "wasm" });
    return vitestTests("Chromium", ["--config", "vitest.browser.config.ts"]);
  }
  console.log(
    "\n== WebAssembly and Chromium ==\nFAILED: not run, because something is missing; set-up said what",
  );
  counts.failed++;
}

const whole = filters.length === 0;
const pages = whole ? startPages() : undefined;
setup();
if (whole) cargoTests();
const ready = await pages;
vitestTests();
if (whole) browserTests(ready);
writeFileSync(join(root, ".cache", "test-counts.json"), JSON.stringify(counts));
console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 ? 0 : 1);
