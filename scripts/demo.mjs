// `npm run demo`: sets up what is missing, then explains a prompt with the model that ships with the package.
// Arguments go to `hooklens explain`, another prompt first: `npm run demo -- "And it came to pass" --top 10`.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setup } from "./setup.mjs";
import { root } from "./steps.mjs";

const prompt = "And the LORD spake unto Moses, saying, Speak unto the children of";

setup();
const asked = process.argv.slice(2);
const args = asked.length === 0 || asked[0].startsWith("-") ? [prompt, ...asked] : asked;
const command = [join(root, "dist", "cli", "main.js"), "explain", ...args];
const result = spawnSync(process.execPath, command, { stdio: "inherit" });
process.exit(result.status ?? 1);
