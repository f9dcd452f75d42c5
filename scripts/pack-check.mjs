// `npm run pack:check`: packs the packages, installs them into empty projects as a user would, and there type-checks and
// runs the README's example, from ESM and from CommonJS, and a model in a page with nothing but an import map; then checks
// what a user without a platform package is told.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installChromium } from "./chromium.mjs";
import { packAll } from "./pack.mjs";
import { runInPage } from "./pack-page.mjs";
import { buildWasm, setup } from "./setup.mjs";
import { fail, root } from "./steps.mjs";

const work = mkdtempSync(join(tmpdir(), "hooklens-pack-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** The environment of somebody who has no checkout. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(HOOKLENS_|npm_)/.test(name)),
);

function sh(cwd, command, args, expected = 0) {
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8" });
  if (result.status !== expected) {
    fail(
      `${command} ${args.join(" ")} ended with ${result.status} instead of ${expected}\n${result.stdout}${result.stderr}`,
    );
  }
  return result.stdout + result.stderr;
}

function project(name, type, tarballs) {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, private: true, type }));
  sh(folder, "npm", [
    "install",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--prefer-offline",
    "--omit=optional",
    ...tarballs,
  ]);
  return folder;
}

/** The first TypeScript block of the README and the output printed below it. */
export function readmeExample() {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const match = /```ts\n(.*?)```\n[^`]*```text\n(.*?)```/s.exec(readme);
  if (!match) fail("README.md has no ```ts example followed by its ```text output");
  return { code: match[1], output: match[2] };
}

setup();
buildWasm();
installChromium();
const { main, platforms } = packAll(join(work, "packed"));
if (platforms.length === 0) fail("no platform binary was built");
for (const { file, size, entries } of [main, ...platforms]) {
  console.log(`${file.split("/").pop()}: ${(size / 1024).toFixed(0)} KiB, ${entries.length} files`);
}
for (const needed of ["wasm/hooklens.js", "wasm/hooklens_bg.wasm", "models/tiny/model.safetensors"]) {
  if (!main.entries.includes(needed)) fail(`the package lacks ${needed}`);
}
const tarballs = [main, ...platforms].map(({ file }) => file);
const { code, output } = readmeExample();

const esm = project("esm", "module", tarballs);
writeFileSync(join(esm, "example.ts"), code);
const tsc = join(root, "node_modules/typescript/bin/tsc");
const strict = [
  "--strict",
  "--exactOptionalPropertyTypes",
  "--noUncheckedIndexedAccess",
  "--target",
  "ES2022",
];
const lib = [
  "--lib",
  "ES2023,esnext.disposable",
  "--module",
  "nodenext",
  "--types",
  "node",
  "--typeRoots",
  join(root, "node_modules/@types"),
];
sh(esm, "node", [tsc, ...strict, ...lib, "example.ts"]);
const printed = sh(esm, "node", ["example.js"]);
if (printed.trim() !== output.trim()) fail(`the README's example printed\n${printed}\ninstead of\n${output}`);
console.log("ESM: the README's example type-checks, runs and prints what the README says");

sh(esm, join(esm, "node_modules/.bin/hooklens"), ["--version"]);
console.log("the command line starts");
const command = (...args) => sh(esm, join(esm, "node_modules/.bin/hooklens"), args);
command("explain", "And God said");
if (!existsSync(join(esm, "hooklens-report.html"))) fail("hooklens explain wrote no report");
command("info", "builtin:tiny");
command("hooks", "builtin:tiny", "blocks.0.*");
console.log("explain writes its report; info and hooks run");

const question = `import { HookedTransformer } from "hooklens";
const model = await HookedTransformer.fromPretrained("builtin:tiny");
const edit = { fwdHooks: { "blocks.1.attn.hook_z": (z) => z.at({ head: 0 }).fill(0) } };
for (const logits of [model.forward("And God said"), model.runWithHooks("And God said", edit)]) {
  const next = logits.get(0, -1).argmax().item();
  console.log(model.toString([next]), next);
}
`;
writeFileSync(join(esm, "question.js"), question);
const inNode = sh(esm, "node", ["question.js"]).trimEnd().split("\n");
const inPage = await runInPage(esm, `${question}console.log("done");`);
if (inPage.join("\n") !== inNode.join("\n")) {
  fail(`a page with an import map said\n${inPage.join("\n")}\nand Node\n${inNode.join("\n")}`);
}
console.log("a page with an import map and no bundler runs and edits a model as Node does");

const inWorker = await runInPage(
  esm,
  `import { startWorker } from "hooklens/worker";
const worker = await startWorker();
const model = await worker.HookedTransformer.fromPretrained("builtin:tiny");
const logits = await model.forward("And God said");
const values = await logits.toTypedArray();
const last = values.subarray(-logits.shape.at(-1));
console.log(last.indexOf(Math.max(...last)));
worker.dispose();
console.log("done");`,
);
const expected = inNode[0].split(" ").at(-1);
if (inWorker.join() !== expected) fail(`a worker of such a page said ${inWorker} instead of ${expected}`);
console.log("a worker of such a page does as well");

const cjs = project("cjs", "commonjs", tarballs);
writeFileSync(
  join(cjs, "main.cjs"),
  'const { zeros } = require("hooklens"); console.log(zeros([2, 3]).shape.join("x"));',
);
if (process.features.require_module) {
  if (!sh(cjs, "node", ["main.cjs"]).includes("2x3")) fail("require('hooklens') gave the wrong shape");
  console.log("CommonJS: require works");
} else {
  console.log(`CommonJS: ${process.version} cannot require ES modules; not checked`);
}

const bare = project("bare", "module", [main.file]);
writeFileSync(
  join(bare, "main.js"),
  'import { zeros } from "hooklens"; try { zeros([1]); } catch (e) { console.log(e.code, e.message); }',
);
const told = sh(bare, "node", ["main.js"]);
if (!/engine_unavailable/.test(told) || !/@hooklens\/linux-x64-gnu/.test(told))
  fail(`without a platform package the user sees: ${told}`);
console.log("without a platform package the user is told what is missing");
