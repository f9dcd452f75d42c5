import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromiumPath } from "../../scripts/chromium.mjs";

/**
 * Whether there is what pages take: a browser, and the engine as WebAssembly. Where everything must be tested, lacking it is
 * a failure of the suites that ask.
 */
export const canServe =
  process.env["CI"] !== undefined ||
  (chromiumPath() !== undefined && existsSync(join(process.cwd(), "wasm/hooklens.js")));
