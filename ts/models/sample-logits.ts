/** Choosing tokens from logits. */

import { checkKeys } from "../hooks/call-options.ts";
import { isTensor } from "../tensor/base.ts";
import { run } from "../tensor/operation.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { fromIds, type Ids } from "../text/batch.ts";
import { SAMPLING_KEYS, type SamplingOptions, samplingFields } from "./generate-options.ts";

/** Options of {@link sampleLogits}. */
export interface SampleLogitsOptions extends SamplingOptions {
  /** The tokens before, `[batch, pos]`, which the penalties need. */
  readonly tokens?: Tensor | Ids;
}

const TOKENS_KEY: ReadonlySet<string> = new Set(["tokens"]);

/**
 * A token for each row of logits `[batch, d_vocab]`: int64 `[batch]`; for `[d_vocab]` a 0-d tensor. The logits stay as
 * they are.
 *
 * In this order: `repetitionPenalty`; the highest logit if nothing is to be drawn; else `temperature`, `freqPenalty`,
 * `topK` or `topP`, and a draw. Equal logits and seeds give equal tokens on every machine, and a row's token does not
 * depend on the rows beside it.
 *
 * @throws `invalid_argument` for options that make no sense, penalties without `tokens`, and logits that are NaN or +∞.
 *
 * @example
 * ```ts
 * const logits = tensor([[2, -1, 0.5, 0]]);
 * sampleLogits(logits, { doSample: false }).item();                                      // 0
 * sampleLogits(logits, { doSample: false, repetitionPenalty: 8, tokens: [[0]] }).item(); // 2
 * ```
 */
export function sampleLogits(
  logits: Tensor,
  options: SampleLogitsOptions = {},
): Tensor<readonly string[], "int64"> {
  checkKeys("sampleLogits", options, [SAMPLING_KEYS, TOKENS_KEY]);
  const { doSample, temperature, topK, topP, repetitionPenalty, freqPenalty, seed } = {
    ...options,
    ...samplingFields(options),
  };
  const { tokens } = options;
  const inputs = tokens === undefined ? [logits] : [logits, isTensor(tokens) ? tokens : fromIds(tokens)];
  return run("sample_logits", inputs, {
    do_sample: doSample,
    temperature,
    top_k: topK,
    top_p: topP,
    repetition_penalty: repetitionPenalty,
    freq_penalty: freqPenalty,
    seed,
  });
}
