// Turns ts/viz/client/client.ts, which runs in pages, into the text that pictures carry with them:
// `node scripts/build-client.mjs`; with `--check` it only says whether the committed text is up to date.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { fail, root } from "./steps.mjs";

const target = join(root, "ts/viz/client-script.ts");

/** The module that the source compiles to. */
export function clientModule() {
  const source = readFileSync(join(root, "ts/viz/client/client.ts"), "utf8");
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: "ES2022", module: "ES2022", removeComments: true },
  });
  // A function of its own, so that several scripts in a page do not meet.
  const script = `(()=>{${outputText.replace(/^export \{\};\n/m, "").replace(/^ +/gm, "")}})();`;
  if (/<\/|<!--/.test(script)) throw new Error("the script would end the element that it stands in");
  const hash = `sha256-${createHash("sha256").update(script).digest("base64")}`;
  return `// Made from client/client.ts by scripts/build-client.mjs; do not edit.

/** What brings pictures in a page to life. */
export const CLIENT_SCRIPT: string =
  ${JSON.stringify(script)};

/** What pages name when they allow this script and no other. */
export const CLIENT_SCRIPT_HASH = ${JSON.stringify(hash)};
`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const module = clientModule();
  if (!process.argv.includes("--check")) writeFileSync(target, module);
  else if (readFileSync(target, "utf8") !== module)
    fail("ts/viz/client-script.ts is out of date: run node scripts/build-client.mjs");
}
