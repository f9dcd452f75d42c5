// Small tokenizers of the usual kinds, made here: what they have in common with real ones is their structure.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "../../ts/index.ts";

/** The embedded model's, wherever the suite runs: pages have no folders to read it from. */
export function tinyTokenizer(): Tokenizer {
  const folder = fileURLToPath(new URL("../../models/tiny", import.meta.url));
  const read = (file: string) => JSON.parse(readFileSync(`${folder}/${file}`, "utf8"));
  return new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
}

/** The characters that byte-level tokenizers write bytes as, in the order of the bytes. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

/** What a tokenizer is to be like. */
export interface Kind {
  /** Encoding begins with `<s>` by itself. */
  readonly addsBos?: boolean;
  /** The special tokens by their role; a role that is left out is not in the configuration. */
  readonly bos?: string;
  readonly eos?: string;
  readonly pad?: string;
  readonly paddingSide?: "left" | "right";
}

const SPECIAL = ["<|end|>", "<s>", "</s>", "<pad>"];
const MERGES = [
  ["t", "h"],
  ["th", "e"],
  ["Ġ", "the"],
  ["Ġ", "c"],
  ["Ġc", "a"],
  ["Ġca", "t"],
  ["c", "a"],
  ["ca", "t"],
] as const;

/** A byte-level BPE tokenizer of 268 tokens: four special ones, all bytes, and parts of "the cat". */
export function byteLevel({ addsBos = false, bos, eos, pad, paddingSide }: Kind = {}): Tokenizer {
  const tokens = [...SPECIAL, ...byteCharacters(), ...MERGES.map((pair) => pair.join(""))];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return new Tokenizer(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: SPECIAL.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: addsBos
        ? {
            type: "TemplateProcessing",
            single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
            pair: [],
            special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
          }
        : null,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        vocab,
        merges: MERGES.map((pair) => pair.join(" ")),
      },
    },
    {
      ...(bos === undefined ? {} : { bos_token: bos }),
      ...(eos === undefined ? {} : { eos_token: { content: eos } }),
      ...(pad === undefined ? {} : { pad_token: pad }),
      ...(paddingSide === undefined ? {} : { padding_side: paddingSide }),
    },
  );
}
