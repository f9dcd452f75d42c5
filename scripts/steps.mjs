// What all set-up scripts share: running a command as a visible step, and knowing when a step is already done.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Ends the script with a message for the user. */
export function fail(message) {
  console.error(`\nerror: ${message}`);
  process.exit(1);
}

/** Runs a command with its output shown; ends the script if it fails. */
export function run(title, command, args, options = {}) {
  const began = Date.now();
  console.error(`• ${title} …`);
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
    ...options,
  });
  if (result.error) fail(`${title}: cannot run ${command} (${result.error.code ?? result.error.message})`);
  if (result.status !== 0)
    fail(`${title}: ${command} ${args.join(" ")} ended with ${result.status ?? result.signal}`);
  console.error(`• ${title}: done in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

function* filesBelow(path) {
  if (!existsSync(path)) return;
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path).sort()) {
    if (entry !== "node_modules" && entry !== "target") yield* filesBelow(join(path, entry));
  }
}

/** One number for the content of files and folders, so that a step runs again only when its inputs changed. */
export function fingerprint(paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    for (const file of filesBelow(join(root, path))) {
      hash.update(relative(root, file)).update("\0").update(readFileSync(file)).update("\0");
    }
  }
  return hash.digest("hex");
}

/** What tells whether a step is done: its inputs, and whatever else it depends on. */
const stateOf = ({ inputs, extra = "" }) => fingerprint(inputs) + extra;
const stampOf = (name) => join(root, ".cache", `${name}.stamp`);

/**
 * Whether a step succeeded before on the same inputs and its outputs are still there.
 * @param {string} name file name of the stamp
 * @param {{ inputs: string[], outputs: string[], extra?: string }} about
 */
function isDone(name, about) {
  const stamp = stampOf(name);
  const same = existsSync(stamp) && readFileSync(stamp, "utf8") === stateOf(about);
  return same && about.outputs.every((path) => existsSync(join(root, path)));
}

/**
 * Runs `work` unless the step is done.
 * @param {string} name file name of the stamp
 * @param {{ inputs: string[], outputs: string[], extra?: string }} about
 * @param {() => void} work
 */
export function once(name, about, work) {
  if (isDone(name, about)) return false;
  const now = stateOf(about);
  work();
  mkdirSync(dirname(stampOf(name)), { recursive: true });
  writeFileSync(stampOf(name), now);
  return true;
}
