/**
 * The text that the models of `models/` learn: the King James Bible (1611, public domain) as Debian's package `bible-kjv-text`
 * carries it, unpacked without root into `.cache/tiny`, as chapters of verses, split into training and validation.
 *
 * A chapter is a document. Whole chapters are held out, so that no validation verse has its neighbours in training;
 * passages that the book itself repeats elsewhere (Kings and Chronicles, the Gospels) may still be in both.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Random } from "./random.ts";

/** Downloads, the tokenizer's Python and checkpoints: everything that can be made again. */
export const cacheDir = fileURLToPath(new URL("../../.cache/tiny/", import.meta.url));

/** Seed of the split. */
export const splitSeed = 1611;
const heldOutShare = 0.05;

const debianPackage = "bible-kjv-text";
// The text has not changed since 1993; another one would make the published figures untrue.
const dataSha256 = "6c746c2acc8a34bfded980883ff1701a5d68934a1c853ebf88a07b978fe0ae0e";
/** The data file is a short index followed by one stream in the format of compress(1). */
const streamMagic = Buffer.from([0x1f, 0x9d]);

/** A chapter: its verses, in order. */
export type Chapter = readonly string[];

export interface Corpus {
  readonly train: readonly Chapter[];
  readonly validation: readonly Chapter[];
}

/** Fetches the package's data file through apt, once. */
function dataFile(): string {
  const path = `${cacheDir}text/usr/lib/bible.data`;
  if (!existsSync(path)) {
    mkdirSync(cacheDir, { recursive: true });
    execFileSync("apt-get", ["download", debianPackage], { cwd: cacheDir, stdio: "inherit" });
    const archive = readdirSync(cacheDir).find((name) => name.startsWith(`${debianPackage}_`));
    if (archive === undefined)
      throw new Error(`apt-get download left no ${debianPackage}_*.deb in ${cacheDir}`);
    execFileSync("dpkg-deb", ["-x", archive, "text"], { cwd: cacheDir, stdio: "inherit" });
  }
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  if (sha256 !== dataSha256) {
    throw new Error(`${path}: expected the text with SHA-256 ${dataSha256}, got ${sha256}`);
  }
  return path;
}

/** Every chapter of the book, in order. Lines are `Ge1:1 In the beginning …`. */
function readChapters(path: string): Chapter[] {
  const data = readFileSync(path);
  const start = data.indexOf(streamMagic);
  const text = execFileSync("gzip", ["-dc"], { input: data.subarray(start), maxBuffer: 1 << 24 }).toString(
    "ascii",
  );
  const chapters = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const verse = /^([1-3]?[A-Za-z]+\d+):\d+ (.*)$/.exec(line);
    const [, chapter, words] = verse ?? [];
    if (chapter === undefined || words === undefined) continue;
    const verses = chapters.get(chapter) ?? [];
    verses.push(words.replace(/\s+/g, " ").trim());
    chapters.set(chapter, verses);
  }
  return [...chapters.values()];
}

/** The text, fetched at the first call, and also written to `.cache/tiny/corpus.json` for the tokenizer's trainer. */
export function loadCorpus(): Corpus {
  const chapters = readChapters(dataFile());
  const order = new Random(splitSeed).shuffle(chapters.map((_, i) => i));
  const heldOut = new Set(order.slice(0, Math.round(chapters.length * heldOutShare)));
  const corpus = {
    train: chapters.filter((_, i) => !heldOut.has(i)),
    validation: chapters.filter((_, i) => heldOut.has(i)),
  };
  writeFileSync(`${cacheDir}corpus.json`, JSON.stringify(corpus));
  return corpus;
}

/** A chapter as the model sees it: a verse a line. */
export function chapterText(chapter: Chapter): string {
  return `${chapter.join("\n")}\n`;
}
