/**
 * Trains the tokenizer that all models of `models/` share, with Python's `tokenizers` in a virtual environment of its
 * own, and checks that `@huggingface/tokenizers`, which hooklens uses, gives the same ids on the text.
 *
 * usage: npx tsx scripts/tiny/tokenizer.ts
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { cacheDir, loadCorpus } from "./corpus.ts";
import { recipeNames, recipes } from "./recipes.ts";

const trainedIn = recipes.tiny.directory;
const files = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];
const tokenizersVersion = "0.23.3";

interface Encoded {
  readonly text: string;
  readonly ids: readonly number[];
}

/** The tokenizer of all models. */
export function loadTokenizer(): Tokenizer {
  const read = (name: string): object => JSON.parse(readFileSync(`${trainedIn}${name}`, "utf8")) as object;
  return new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
}

function trainTokenizer(): void {
  loadCorpus();
  const python = `${cacheDir}venv/bin/python`;
  if (!existsSync(python)) {
    execFileSync("python3", ["-m", "venv", `${cacheDir}venv`], { stdio: "inherit" });
    execFileSync(python, ["-m", "pip", "install", "--quiet", `tokenizers==${tokenizersVersion}`], {
      stdio: "inherit",
    });
  }
  const script = fileURLToPath(new URL("tokenizer.py", import.meta.url));
  const sample = `${cacheDir}encoded.json`;
  execFileSync(python, [script, `${cacheDir}corpus.json`, trainedIn, sample], { stdio: "inherit" });
  checkAgreement(JSON.parse(readFileSync(sample, "utf8")) as Encoded[]);
  for (const name of recipeNames) {
    const { directory } = recipes[name];
    if (directory === trainedIn) continue;
    for (const file of files) copyFileSync(`${trainedIn}${file}`, `${directory}${file}`);
  }
}

function checkAgreement(sample: readonly Encoded[]): void {
  const tokenizer = loadTokenizer();
  let tokens = 0;
  for (const { text, ids } of sample) {
    const ours: readonly number[] = tokenizer.encode(text).ids;
    if (ours.length !== ids.length || ours.some((id, i) => id !== ids[i])) {
      throw new Error(`the tokenizers disagree on ${JSON.stringify(text.slice(0, 80))}: ${ids} and ${ours}`);
    }
    if (ids.length > 0 && tokenizer.decode(ours, { skip_special_tokens: false }) !== text) {
      throw new Error(`decoding does not give back ${JSON.stringify(text.slice(0, 80))}`);
    }
    tokens += ids.length;
  }
  console.log(`both tokenizers agree on ${sample.length} texts, ${tokens} tokens`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) trainTokenizer();
