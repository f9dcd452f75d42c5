/** Text to token ids and back, by the tokenizer that a model was trained with. */

import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import { hooklensError } from "../engine/errors.ts";
import { messageOf } from "../engine/message.ts";
import { FolderSource } from "../models/sources/folder-source.ts";
import { MAX_JSON_BYTES, type ModelSource, readJson } from "../models/sources/source.ts";
import { files } from "../platform/platform.ts";
import { requireText } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";

/** On which side short texts of a batch are filled up. */
export type PaddingSide = "left" | "right";

/** How token ids become text. */
export interface DecodeOptions {
  /**
   * Leave out tokens that the tokenizer marks as special, such as that for the end of a sequence.
   * @default false
   */
  readonly skipSpecialTokens?: boolean;
}

/** Settings of {@link Tokenizer.fromDirectory}. */
export interface TokenizerFileOptions {
  /**
   * How large each file may be, in bytes.
   * @default 100_000_000
   */
  readonly maxBytes?: number;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Runs the tokenizers library. What it trips over in a bad `tokenizer.json` comes out as an error that says so. */
function working<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    const detail = messageOf(error);
    throw hooklensError("invalid_file", `the tokenizer is not what tokenizer.json should hold: ${detail}`, {
      detail,
    });
  }
}

/** What a `tokenizer.json` may be a model of; in old files only its parts tell. */
const MODELS: readonly unknown[] = ["BPE", "Unigram", "WordPiece", "WordLevel", undefined, null];

/**
 * The tokenizer as the library reads it right: a model of whole words names its unknown token itself, where the library
 * looks in the configuration.
 *
 * @throws `invalid_file` for a model of another kind, which the library would take for one of whole words.
 */
function encoderOf(
  tokenizer: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
): Encoder {
  const { model } = Object(tokenizer) as { readonly model?: unknown };
  const { type, unk_token = "<unk>" } = Object(model) as Record<"type" | "unk_token", unknown>;
  if (!MODELS.includes(type)) {
    const detail = `its model is a ${describe(type)}; known are BPE, Unigram, WordPiece and WordLevel`;
    throw hooklensError("invalid_file", `the tokenizer is not what tokenizer.json should hold: ${detail}`, {
      detail,
    });
  }
  const words = type === "WordLevel" && isRecord(config);
  return working(() => new Encoder(tokenizer, words ? { ...config, unk_token } : config));
}

function isId(id: unknown): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= LARGEST_ID;
}

/** The text of a special token, which files write as a string or as an object. */
function special(config: Readonly<Record<string, unknown>>, key: string): string | null {
  const value = config[key];
  const text = isRecord(value) ? value["content"] : value;
  return typeof text === "string" && text !== "" ? text : null;
}

/** Ids fit 32 bits with room to spare; vocabularies are a thousand times smaller. */
const LARGEST_ID = 2 ** 31 - 1;

/** A tokenizer of the Hugging Face form. */
export class Tokenizer {
  readonly #encoder: Encoder;
  /** The end-of-sequence token. */
  readonly eosToken: string;
  /** The beginning-of-sequence token; the end-of-sequence token where there is no other. */
  readonly bosToken: string;
  /** What fills short texts; the end-of-sequence token where there is no other. */
  readonly padToken: string;
  /** On which side short texts are filled up by default. */
  readonly paddingSide: PaddingSide;
  /** Whether encoding puts the beginning-of-sequence token first by itself. */
  readonly prependsBos: boolean;
  readonly #size: number;

  /**
   * @param tokenizer the content of `tokenizer.json`.
   * @param config the content of `tokenizer_config.json`.
   * @throws `invalid_file` for content that is no tokenizer's.
   */
  constructor(tokenizer: Readonly<Record<string, unknown>>, config: Readonly<Record<string, unknown>> = {}) {
    this.#encoder = encoderOf(tokenizer, config);
    this.eosToken = special(config, "eos_token") ?? "<|endoftext|>";
    this.bosToken = special(config, "bos_token") ?? this.eosToken;
    this.padToken = special(config, "pad_token") ?? this.eosToken;
    this.paddingSide = config["padding_side"] === "left" ? "left" : "right";
    // Not only of nothing, which may be encoded as an end of sequence.
    this.prependsBos = this.bosId !== null && ["", "a"].every((text) => this.#first(text) === this.bosId);
    let largest = -1;
    for (const [token, id] of working(() => this.#encoder.get_vocab(true))) {
      if (!isId(id)) {
        throw hooklensError(
          "invalid_file",
          `the tokenizer's id of '${token}' is no whole number: ${String(id)}`,
        );
      }
      largest = Math.max(largest, id);
    }
    this.#size = largest + 1;
  }

  #first(text: string): unknown {
    return working(() => this.#encoder.encode(text).ids[0]);
  }

  #ids(text: string): number[] {
    const { ids, tokens }: { ids: unknown[]; tokens: unknown[] } = working(() => this.#encoder.encode(text));
    if (ids.every(isId)) return ids;
    const at = ids.findIndex((id) => !isId(id));
    const detail = `the tokenizer has no id for ${describe(tokens[at])}, and no token for what is unknown`;
    throw hooklensError("invalid_file", detail, { detail });
  }

  /**
   * Reads `tokenizer.json` and `tokenizer_config.json` of a model folder; null if there is no tokenizer.
   *
   * The patterns that split text are run as the file has them, and one that was made to be slow is slow: of folders that
   * you do not trust take the weights alone (`fromPretrained(folder, { tokenizer: null })`), or encode in a worker.
   *
   * @throws `invalid_file` for a file that is not what it claims to be, or larger than `maxBytes`; `no_file_system` in a
   *   page.
   */
  static async fromDirectory(
    directory: string,
    options: TokenizerFileOptions = {},
  ): Promise<Tokenizer | null> {
    requireText("fromDirectory", "the path of a folder", directory);
    checkOptionKeys("fromDirectory", options, ["maxBytes"]);
    const { maxBytes = MAX_JSON_BYTES } = options;
    if (typeof maxBytes !== "number" || !(maxBytes > 0)) {
      throw hooklensError(
        "invalid_argument",
        `maxBytes: expected a number of bytes above 0, got ${describe(maxBytes)}`,
      );
    }
    const found = files(
      "Tokenizer.fromDirectory",
      "fetch tokenizer.json and give its content to new Tokenizer(…)",
    );
    return readTokenizer(new FolderSource(found, directory), maxBytes);
  }

  /** The largest id plus one. */
  get size(): number {
    return this.#size;
  }

  /** The id of a token's text, or null. */
  idOf(token: string): number | null {
    return this.#encoder.token_to_id(token) ?? null;
  }

  /** The id of {@link bosToken}, or null if the vocabulary lacks it. */
  get bosId(): number | null {
    return this.idOf(this.bosToken);
  }

  /** The id of {@link eosToken}, or null if the vocabulary lacks it. */
  get eosId(): number | null {
    return this.idOf(this.eosToken);
  }

  /** The id of {@link padToken}, or null if the vocabulary lacks it. */
  get padId(): number | null {
    return this.idOf(this.padToken);
  }

  /**
   * The ids of a text, with or without the beginning-of-sequence token.
   *
   * @throws `invalid_argument` for `prependBos` where the vocabulary has no such token.
   */
  encode(text: string, prependBos: boolean): number[] {
    if (this.prependsBos) {
      const ids = this.#ids(text);
      return prependBos || ids[0] !== this.bosId ? ids : ids.slice(1);
    }
    if (prependBos && this.bosId === null) {
      throw hooklensError(
        "invalid_argument",
        `prependBos: this tokenizer has no beginning-of-sequence token ('${this.bosToken}' is not in its vocabulary)`,
        { bosToken: this.bosToken },
      );
    }
    // Before encoding, because the first word may be split differently at the start of a text.
    return this.#ids(prependBos ? this.bosToken + text : text);
  }

  /**
   * The text of ids; nothing is cleaned up. Ids from {@link size} on have no text: models often have rows for more tokens
   * than there are, to make their number round, and may write them.
   *
   * @throws `token_out_of_range` for what is no id.
   */
  decode(ids: readonly number[], { skipSpecialTokens = false }: DecodeOptions = {}): string {
    const bad = ids.find((id) => !isId(id));
    if (bad !== undefined) {
      throw hooklensError(
        "token_out_of_range",
        `expected token ids, whole numbers from 0 on, got ${bad}; the tokenizer has ${this.#size} tokens`,
        { id: bad, dVocab: this.#size },
      );
    }
    const known = ids.filter((id) => id < this.#size);
    if (known.length === 0) return "";
    return working(() =>
      this.#encoder.decode(known, {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      }),
    );
  }
}

/**
 * The tokenizer of a model's files; null if there is none. Internal.
 *
 * @throws `invalid_file` for a file that is not what it claims to be.
 */
export async function readTokenizer(source: ModelSource, maxBytes?: number): Promise<Tokenizer | null> {
  const tokenizer = await readJson(source, "tokenizer.json", maxBytes);
  if (tokenizer === null) return null;
  const config = (await readJson(source, "tokenizer_config.json", maxBytes)) ?? {};
  try {
    return new Tokenizer(tokenizer, config);
  } catch (error) {
    const path = source.locate("tokenizer.json");
    const detail = messageOf(error);
    throw hooklensError("invalid_file", `${path}: ${detail}`, { path, detail });
  }
}
