/** What `generate` is asked for, and what comes out. */

import type { GenerationRequest } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { checkFlags, checkKeys } from "../hooks/call-options.ts";
import { describe } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Ids, Tokens } from "../text/batch.ts";

/** Text, several texts, or token ids `[pos]` or `[batch, pos]`. */
export type GenerateInput = string | readonly string[] | Ids | Tensor;

/** The form of what `generate` gives: that of the input, text, or token ids. */
export type GenerateReturn = "input" | "str" | "tokens";

/** How a token is chosen from logits. */
export interface SamplingOptions {
  /**
   * Draw by probability. With false the highest logit wins, and only `repetitionPenalty` counts of what follows.
   * @default true
   */
  readonly doSample?: boolean;
  /**
   * What logits are divided by; 0 takes the highest.
   * @default 1
   */
  readonly temperature?: number;
  /** Draw among the so many highest, and what equals the last of them. */
  readonly topK?: number;
  /**
   * Draw among the most probable tokens, up to the one that brings the sum of their probabilities over this. Does nothing
   * beside `topK`.
   */
  readonly topP?: number;
  /**
   * Divides the logits of tokens that occurred, in the prompt too; multiplies them where they are negative.
   * @default 1
   */
  readonly repetitionPenalty?: number;
  /**
   * Taken from a token's logit for each time that it occurred, in the prompt too.
   * @default 0
   */
  readonly freqPenalty?: number;
  /** Where the random numbers start: the same seed gives the same tokens. Without, `manualSeed` says. */
  readonly seed?: number | bigint;
}

/** Options of `generateStream`. */
export interface GenerateStreamOptions extends SamplingOptions {
  /**
   * How many tokens to write at most.
   * @default 10
   */
  readonly maxNewTokens?: number;
  /**
   * End a row where it writes the end-of-sequence token. Throws `invalid_argument` where nobody knows that token.
   * @default true
   */
  readonly stopAtEos?: boolean;
  /**
   * The id, or several, that end a row.
   * @default those of the folder's `generation_config.json` or `config.json`, else the tokenizer's
   */
  readonly eosTokenId?: number | readonly number[];
  /** Texts that end a row once it has written one of them, across tokens too. They stay in what is written. */
  readonly stopStrings?: string | readonly string[];
  /**
   * Keep keys and values between steps. Without, each step runs the whole sequence, and hooks see all of it.
   * @default true, but false for models whose tokens see later ones
   */
  readonly usePastKvCache?: boolean;
  /**
   * Put the beginning-of-sequence token before texts.
   * @default the model's `cfg.default_prepend_bos`
   */
  readonly prependBos?: boolean;
  /**
   * Where shorter texts are filled up, or where given ids were. Only the left makes sense: rows go on from their last
   * token. Ids of several rows of which some end with padding tokens and others do not are refused, unless an
   * `attentionMask` says what is text.
   * @default "left"
   */
  readonly paddingSide?: "left";
  /** 1 for tokens and 0 for padding before them, `[batch, pos]`, beside token ids. */
  readonly attentionMask?: Tensor | readonly (readonly number[])[];
  /** Ends the generation after the block that is running; it fails with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Give the logits that each token was chosen from.
   * @default false
   */
  readonly outputLogits?: boolean;
}

/** Options of `generate`. */
export interface GenerateOptions<R extends GenerateReturn = GenerateReturn, Logits extends boolean = boolean>
  extends GenerateStreamOptions {
  /**
   * What comes out, the prompt included: what came in, text without special tokens, or token ids `[batch, pos]`.
   * @default "input"
   */
  readonly returnType?: R;
  readonly outputLogits?: Logits;
}

/** Text for one text, a list for several; a tensor counts as several. */
export type TextOf<I extends GenerateInput> = I extends string | readonly number[] ? string : string[];

/** What `generate` gives for this input in this form. */
export type Generated<I extends GenerateInput, R extends GenerateReturn> = R extends "tokens"
  ? Tokens
  : R extends "str"
    ? TextOf<I>
    : I extends string
      ? string
      : I extends readonly string[]
        ? string[]
        : Tokens;

/** What `generate` gives with `outputLogits`. */
export interface GeneratedWithLogits<Sequences> {
  /** Prompt and what was written. */
  readonly sequences: Sequences;
  /** What each token was chosen from, before any penalty. */
  readonly logits: readonly Tensor<readonly ["batch", "d_vocab"]>[];
}

/** What `generate` gives for these options. */
export type GenerateOutput<
  I extends GenerateInput,
  R extends GenerateReturn,
  Logits extends boolean,
> = Logits extends true ? GeneratedWithLogits<Generated<I, R>> : Generated<I, R>;

/** Why a row has ended: it wrote the end-of-sequence token, a stop string, or as many tokens as were asked for. */
export type FinishReason = "eos" | "stop" | "length";

/** One more token for each row. */
export interface GenerationStep {
  /** Which step this is, from 1. */
  readonly step: number;
  /** The token of each row; null for rows that had ended. */
  readonly tokens: readonly (number | null)[];
  /**
   * The text that each row gained: whole characters only, so that a token which completes none gives `""`. Special
   * tokens have no text, and a model without tokenizer gives none.
   */
  readonly text: readonly string[];
  /** The rows that end with this step, and why; null for the others. */
  readonly finished: readonly (FinishReason | null)[];
  /** With `outputLogits`, what the tokens were chosen from. */
  readonly logits: Tensor<readonly ["batch", "d_vocab"]> | null;
}

export const SAMPLING_KEYS: ReadonlySet<string> = new Set([
  "doSample",
  "temperature",
  "topK",
  "topP",
  "repetitionPenalty",
  "freqPenalty",
  "seed",
]);

const STREAM_KEYS: ReadonlySet<string> = new Set([
  "maxNewTokens",
  "stopAtEos",
  "eosTokenId",
  "stopStrings",
  "usePastKvCache",
  "prependBos",
  "paddingSide",
  "attentionMask",
  "signal",
  "outputLogits",
]);

const RETURN_KEYS: ReadonlySet<string> = new Set(["returnType"]);

function refuse(option: string, expected: string, got: unknown): never {
  throw hooklensError("invalid_argument", `${option}: expected ${expected}, got ${describe(got)}`, {
    option,
  });
}

/** Checks the form of sampling options; their ranges are the engine's to check. Leaves out what was not given. */
export function samplingFields(options: SamplingOptions) {
  const { doSample = true, temperature, topK, topP, repetitionPenalty, freqPenalty, seed } = options;
  checkFlags({ doSample });
  for (const [option, value] of Object.entries({ temperature, topP, repetitionPenalty, freqPenalty })) {
    if (value !== undefined && typeof value !== "number") refuse(option, "a number", value);
  }
  if (topK !== undefined && !Number.isSafeInteger(topK)) refuse("topK", "a whole number above 0", topK);
  if (seed !== undefined && typeof seed !== "bigint" && !Number.isSafeInteger(seed)) {
    refuse("seed", "a whole number", seed);
  }
  return {
    doSample,
    ...(temperature === undefined ? {} : { temperature }),
    ...(topK === undefined ? {} : { topK }),
    ...(topP === undefined ? {} : { topP }),
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
    ...(freqPenalty === undefined ? {} : { freqPenalty }),
    ...(seed === undefined ? {} : { seed }),
  };
}

/** Options with their forms checked and their defaults filled in. */
export interface CheckedOptions {
  readonly request: Omit<GenerationRequest, "tokens" | "attentionMask" | "stopIds" | "fillId" | "useCache">;
  readonly stopAtEos: boolean;
  /** As given; null if it was not. */
  readonly eosTokenIds: readonly number[] | null;
  readonly stopStrings: readonly string[];
}

/** Checks the options of `generate` (those of `generateStream` if `streaming`). */
export function checkedOptions(
  what: string,
  options: GenerateOptions,
  { streaming }: { readonly streaming: boolean },
): CheckedOptions {
  checkKeys(what, options, [SAMPLING_KEYS, STREAM_KEYS, ...(streaming ? [] : [RETURN_KEYS])]);
  const { maxNewTokens = 10, stopAtEos = true, outputLogits = false, usePastKvCache, prependBos } = options;
  checkFlags({ stopAtEos, outputLogits, usePastKvCache, prependBos });
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 0) {
    refuse("maxNewTokens", "a whole number of 0 or more", maxNewTokens);
  }
  const { returnType, paddingSide, signal } = options;
  if (returnType !== undefined && !["input", "str", "tokens"].includes(returnType)) {
    refuse("returnType", "'input', 'str' or 'tokens'", returnType);
  }
  if (paddingSide !== undefined && paddingSide !== "left") {
    refuse("paddingSide", "'left', because rows go on from their last token", paddingSide);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse("signal", "an AbortSignal", signal);
  return {
    request: { ...samplingFields(options), maxNewTokens, keepLogits: outputLogits },
    stopAtEos,
    eosTokenIds: checkedIds(options.eosTokenId),
    stopStrings: checkedStrings(options.stopStrings),
  };
}

function checkedIds(given: unknown): readonly number[] | null {
  if (given === undefined) return null;
  const ids: readonly unknown[] = Array.isArray(given) ? given : [given];
  const whole = ids.filter((id) => typeof id === "number" && Number.isSafeInteger(id) && id >= 0);
  if (ids.length === 0 || whole.length < ids.length) refuse("eosTokenId", "a token id or several", given);
  return whole as number[];
}

function checkedStrings(given: unknown): readonly string[] {
  if (given === undefined) return [];
  const texts: readonly unknown[] = Array.isArray(given) ? given : [given];
  const good = texts.filter((text) => typeof text === "string" && text !== "");
  if (good.length < texts.length) refuse("stopStrings", "a text that is not empty, or several", given);
  return good as string[];
}
