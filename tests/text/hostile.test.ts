// Files of tokenizers made to break a reader: the answer is an error with a code, or a tokenizer that gives ids.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { HooklensError, Tokenizer } from "../../ts/index.ts";
import { TINY } from "../models/folders.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-hostile-"));
afterAll(() => rmSync(folder, { recursive: true }));

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The embedded model's tokenizer with a small part of its vocabulary, so that thousands of cases take seconds. */
const good = ((): Json => {
  const tokenizer = JSON.parse(readFileSync(join(TINY, "tokenizer.json"), "utf8"));
  const vocab = Object.entries<number>(tokenizer.model.vocab).filter(([, id]) => id < 270);
  const known = new Set(vocab.map(([token]) => token));
  const merges = (tokenizer.model.merges as (string | [string, string])[]).filter((merge) => {
    const [a = "", b = ""] = typeof merge === "string" ? merge.split(" ") : merge;
    return known.has(a) && known.has(b) && known.has(a + b);
  });
  return { ...tokenizer, model: { ...tokenizer.model, vocab: Object.fromEntries(vocab), merges } };
})();

const config = readFileSync(join(TINY, "tokenizer_config.json"), "utf8");

/** Values that some reader once believed. */
const nasty: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, false, 0, -1, 1.5, 1e300, 2 ** 53, "", "[", "\ud800", [], {}, [[]]),
  fc.constantFrom<Json>(
    "BPE",
    "WordPiece",
    "Unigram",
    "ByteLevel",
    "Sequence",
    "Split",
    "Replace",
    "Metaspace",
  ),
  fc.constantFrom<Json>(
    { type: "BPE" },
    { type: "Sequence", pretokenizers: [{}] },
    { type: "Split", pattern: {} },
  ),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
);

/** Every place in a value, as the list of keys that leads there; of long lists the first few. */
function places(value: Json, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).slice(0, 12);
  return [path, ...inner.flatMap(([key, item]) => places(item, [...path, key]))];
}

const PLACES = places(good).filter((path) => path.length > 0);

/** A copy of `value` with what is at `path` replaced, or removed if `by` is undefined. */
function replaced(value: Json, [key, ...rest]: readonly string[], by: Json | undefined): Json {
  if (key === undefined) return by ?? null;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    return value.map((item, i) => (String(i) === key ? replaced(item, rest, by) : item));
  }
  const { [key]: inner = null, ...others } = value;
  if (rest.length === 0 && by === undefined) return others;
  return { ...others, [key]: replaced(inner, rest, by) };
}

async function check(tokenizerJson: string, configJson: string): Promise<void> {
  writeFileSync(join(folder, "tokenizer.json"), tokenizerJson);
  writeFileSync(join(folder, "tokenizer_config.json"), configJson);
  try {
    const tokenizer = await Tokenizer.fromDirectory(folder);
    if (tokenizer === null) return;
    const ids = tokenizer.encode("Héllo  wörld\n\t0", false);
    for (const id of ids) expect(Number.isInteger(id) && id >= 0).toBe(true);
    expect(typeof tokenizer.decode(ids.filter((id) => id < tokenizer.size))).toBe("string");
    tokenizer.encode("a", true);
  } catch (error) {
    if (!(error instanceof HooklensError)) throw error;
    expect(["invalid_file", "invalid_argument"]).toContain(error.code);
  }
}

const LONG = 120_000;

test("as it was, it loads", () => check(JSON.stringify(good), config));

test("a tokenizer.json with parts replaced or removed", { timeout: LONG }, () => {
  const change = fc.tuple(fc.constantFrom(...PLACES), fc.option(nasty, { nil: undefined }));
  return fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) =>
      check(
        JSON.stringify(changes.reduce<Json>((json, [path, by]) => replaced(json, path, by), good)),
        config,
      ),
    ),
    { numRuns: 2000 },
  );
});

test("a tokenizer_config.json of anything", { timeout: LONG }, () => {
  const keys = ["bos_token", "eos_token", "pad_token", "unk_token", "padding_side", "tokenizer_class"];
  const entries = fc.dictionary(fc.constantFrom(...keys), nasty);
  return fc.assert(
    fc.asyncProperty(entries, (json) => check(JSON.stringify(good), JSON.stringify(json))),
    { numRuns: 1000 },
  );
});

test("texts with bytes overwritten, cut off, or nested without end", { timeout: LONG }, async () => {
  const bytes = Buffer.from(JSON.stringify(good));
  const writes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(writes, fc.nat(2 * bytes.length), (overwritten, end) => {
      const copy = Buffer.from(bytes);
      for (const [at, byte] of overwritten) copy[at] = byte;
      return check(copy.subarray(0, end).toString("utf8"), config);
    }),
    { numRuns: 1000 },
  );
  await check("[".repeat(1_000_000), config);
  await check(`{"model":${'{"model":'.repeat(20_000)}1${"}".repeat(20_000)}}`, config);
});
