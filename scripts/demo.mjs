// `npm run demo`: sets up what is missing, then explains a prompt with the model that ships with the package.
// Arguments replace the prompt: `npm run demo -- "And it came to pass" --top 10`.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setup } from "./setup.mjs";
import { root } from "./steps.mjs";

const prompt = "And God said, Let there be light: and there was";

setup();
const asked = process.argv.slice(2);
const result = spawnSync(
  "node",
  [join(root, "dist", "cli", "main.js"), "explain", ...(asked.length > 0 ? asked : [prompt])],
  {
    stdio: "inherit",
  },
);
process.exit(result.status ?? 1);
