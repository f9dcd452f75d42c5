/** Writing text. */

import type { EngineGeneration, EngineGenerationStep, EngineModel } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { checkKeys } from "../hooks/call-options.ts";
import { platform } from "../platform/platform.ts";
import { handleOf, isTensor, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Batch, fromIds, fromMask, type Ids, idsOf, type Tokens } from "../text/batch.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import {
  type CheckedOptions,
  checkedOptions,
  type FinishReason,
  type GenerateInput,
  type GenerateOptions,
  type GenerateOutput,
  type GenerateReturn,
  type GenerateStreamOptions,
  type GenerationStep,
} from "./generate-options.ts";
import { KeyValueCache, type KeyValueCacheOptions } from "./key-value-cache.ts";
import { filledOnRight, mayBeIds, paddingOf } from "./padded-ids.ts";
import { TextRow } from "./text-rows.ts";
import { TransformerText, textsOf } from "./transformer-text.ts";

/** A generation that has begun. */
interface Begun {
  readonly generation: EngineGeneration;
  /** The prompts without padding. */
  readonly prompts: readonly (readonly number[])[];
  readonly checked: CheckedOptions;
  readonly signal: AbortSignal | undefined;
}

const CACHE_KEYS: ReadonlySet<string> = new Set(["batchSize", "capacity"]);

/**
 * A transformer that writes.
 *
 * @category Text
 */
export abstract class TransformerGeneration extends TransformerText {
  /** What ends a text, according to the files that the model came with. */
  readonly #stopIds: readonly number[];

  /** @internal */
  constructor(model: EngineModel, tokenizer: Tokenizer | null, stopIds: readonly number[]) {
    super(model, tokenizer);
    this.#stopIds = stopIds;
  }

  /**
   * Goes on from a prompt, a token at a time, and gives prompt and continuation together.
   *
   * Every step is a forward with all its hooks, run a block at a time: between blocks other work of the thread gets its
   * turn. With the cache (the default) the first step sees the prompt and each later one only the newest token. Keep
   * hooks attached until the promise settles, as `withHooks` does. Positions in hooks and interventions count within what the
   * step runs: later steps have one, so that edits `.at({ pos: -1 })` and `.at({ pos: 0 })` reach each new token and
   * `.at({ pos: 3 })` is refused there; with `usePastKvCache: false` every step has them all. Nothing is recorded for gradients.
   *
   * Prompts of several lengths are padded on the left; each row is what it would be alone. Rows that have ended are filled
   * up with the end-of-sequence token in `"tokens"`, and simply end in text.
   *
   * @throws `tokenizer_required` for text, or text to return, without a tokenizer; `context_length` before any compute if
   *   prompt and `maxNewTokens` do not fit; `invalid_argument` for options that make no sense.
   *
   * @example
   * ```ts
   * const model = await HookedTransformer.fromPretrained("builtin:tiny");
   * const prompt = "In the beginning God";
   * console.log(await model.generate(prompt, { maxNewTokens: 8, doSample: false }));
   * const ids = await model.generate([prompt, "And"], { temperature: 0.8, seed: 1, returnType: "tokens" });
   * ids.shape; // [2, …]
   * ```
   */
  async generate<
    const I extends GenerateInput,
    R extends GenerateReturn = "input",
    Logits extends boolean = false,
  >(input: I, options: GenerateOptions<R, Logits> = {}): Promise<GenerateOutput<I, R, Logits>> {
    const checked = checkedOptions("generate", options, { streaming: false });
    const isText = textsOf(input) !== null;
    const asText = options.returnType === "str" || (options.returnType !== "tokens" && isText);
    if (asText) this.needTokenizer();
    const begun = this.#begin(input, options, checked);
    const written = begun.prompts.map((prompt) => [...prompt]);
    const logits: Tensor[] = [];
    for await (const step of this.#steps(begun)) {
      for (const [row, id] of step.tokens.entries()) if (id !== null) written[row]?.push(id);
      if (step.logits !== null) logits.push(step.logits);
    }
    const single = typeof input === "string" || (!isTensor(input) && typeof input[0] === "number");
    const texts = () => {
      const all = written.map((ids) => this.needTokenizer().decode(ids, { skipSpecialTokens: true }));
      return single ? all[0] : all;
    };
    const sequences: unknown = asText ? texts() : wrap(begun.generation.sequences(), ["batch", "pos"]);
    return (options.outputLogits ? { sequences, logits } : sequences) as GenerateOutput<I, R, Logits>;
  }

  /**
   * {@link generate} as it goes: gives each row's new token and the text that it completes. Wrong options throw at once;
   * leaving the loop ends the generation.
   *
   * @example
   * ```ts
   * const model = await HookedTransformer.fromPretrained("builtin:tiny");
   * let text = "";
   * for await (const step of model.generateStream("And God said", { maxNewTokens: 12, seed: 1 })) {
   *   text += step.text[0];
   * }
   * console.log(text.length > 0);
   * ```
   */
  generateStream(
    input: GenerateInput,
    options: GenerateStreamOptions = {},
  ): AsyncGenerator<GenerationStep, void, void> {
    const checked = checkedOptions("generateStream", options, { streaming: true });
    return this.#steps(this.#begin(input, options, checked));
  }

  /**
   * An empty cache for `pastKvCache`, see {@link KeyValueCache}.
   *
   * @throws `invalid_argument` for sizes that make no sense, or a model whose tokens see later ones; `context_length` for a
   *   capacity beyond the context.
   */
  createKvCache(options: KeyValueCacheOptions = {}): KeyValueCache {
    checkKeys("createKvCache", options, [CACHE_KEYS]);
    const { batchSize = 1, capacity } = options;
    return new KeyValueCache(this.model.createKvCache(batchSize, capacity));
  }

  async *#steps(begun: Begun): AsyncGenerator<GenerationStep, void, void> {
    const { generation, prompts, checked, signal } = begun;
    const { tokenizer } = this;
    const rows = tokenizer && prompts.map((prompt) => new TextRow(tokenizer, prompt, checked.stopStrings));
    try {
      signal?.throwIfAborted();
      for (let step = 1; !generation.done; ) {
        const made = generation.advance();
        if (made !== null) {
          const { text, finished } = grow(rows, made, generation);
          const logits =
            made.logits && wrap<readonly ["batch", "d_vocab"]>(made.logits, ["batch", "d_vocab"]);
          yield { step, tokens: made.tokens, text, finished, logits };
          step++;
        }
        await platform().turn();
        signal?.throwIfAborted();
      }
    } finally {
      generation.end();
    }
  }

  #begin(input: GenerateInput, options: GenerateStreamOptions, checked: CheckedOptions): Begun {
    options.signal?.throwIfAborted();
    const { tokens, attentionMask } = this.#prompt(input, options);
    if (checked.stopStrings.length > 0) this.needTokenizer();
    const { stopIds, fillId } = this.#endings(checked);
    const generation = this.model.generate({
      ...checked.request,
      tokens: handleOf(tokens),
      ...(attentionMask === null ? {} : { attentionMask: handleOf(attentionMask) }),
      stopIds,
      ...(fillId === undefined ? {} : { fillId }),
      useCache: options.usePastKvCache ?? this.cfg.attention_dir === "causal",
    });
    const kept = attentionMask && idsOf(attentionMask).rows;
    const prompts = idsOf(tokens).rows.map((ids, row) => ids.filter((_, i) => (kept?.[row]?.[i] ?? 1) !== 0));
    return { generation, prompts, checked, signal: options.signal };
  }

  #prompt(input: GenerateInput, options: GenerateStreamOptions): Batch {
    const texts = textsOf(input);
    const { attentionMask, prependBos, paddingSide } = options;
    const choice = prependBos === undefined ? {} : { prependBos };
    if (texts !== null) {
      if (attentionMask === undefined) {
        return this.encode(texts, { ...choice, paddingSide: "left", truncate: false });
      }
      throw hooklensError(
        "invalid_argument",
        "attentionMask: texts come with their own; give token ids with it",
      );
    }
    const tokens = isTensor(input) ? (input as Tokens) : fromIds(input as Ids);
    if (attentionMask !== undefined) return { tokens, attentionMask: fromMask(attentionMask) as Tokens };
    // As in a forward: where texts are filled up on the left, ids may have been.
    const how = { ...choice, ...(paddingSide === undefined ? {} : { paddingSide }) };
    if (!mayBeIds(tokens)) return { tokens, attentionMask: null };
    const row = filledOnRight(this, tokens, how);
    if (row === null) return { tokens, attentionMask: paddingOf(this, tokens, how) };
    throw hooklensError(
      "invalid_argument",
      `row ${row} ends with padding tokens; rows go on from their last token, so give texts, or ids padded on the left (toTokens with paddingSide: 'left') and paddingSide: 'left' here; where these tokens are meant as text, say so with an attentionMask of ones`,
      { row },
    );
  }

  /** What ends rows, and what fills them up afterwards. */
  #endings({ stopAtEos, eosTokenIds }: CheckedOptions): {
    readonly stopIds: readonly number[];
    readonly fillId: number | undefined;
  } {
    const { d_vocab, d_vocab_out } = this.cfg;
    const own = this.tokenizer?.eosId;
    const fillId = own !== null && own !== undefined && own < d_vocab ? own : undefined;
    if (!stopAtEos) return { stopIds: [], fillId };
    if (eosTokenIds !== null) {
      const bad = eosTokenIds.find((id) => id >= d_vocab_out);
      if (bad === undefined)
        return { stopIds: eosTokenIds, fillId: fillId ?? within(eosTokenIds, d_vocab)[0] };
      throw hooklensError(
        "token_out_of_range",
        `eosTokenId: ${bad} is outside the vocabulary of ${d_vocab_out} tokens`,
        { id: bad, dVocab: d_vocab_out },
      );
    }
    const known = within(this.#stopIds, d_vocab_out);
    const stopIds = known.length > 0 ? known : fillId === undefined ? [] : within([fillId], d_vocab_out);
    if (stopIds.length === 0) {
      throw hooklensError(
        "invalid_argument",
        "stopAtEos: nothing says what ends a text here; give eosTokenId, or stopAtEos: false",
        { option: "stopAtEos" },
      );
    }
    return { stopIds, fillId: fillId ?? within(stopIds, d_vocab)[0] };
  }
}

/** The text that a step completes in each row, and why rows end; ends those that have written a stop string. */
function grow(
  rows: readonly TextRow[] | null,
  { tokens, finished }: EngineGenerationStep,
  generation: EngineGeneration,
): { readonly text: string[]; readonly finished: (FinishReason | null)[] } {
  if (rows === null) return { text: tokens.map(() => ""), finished };
  const reasons = [...finished];
  const text = rows.map((row, i) => {
    const id = tokens[i];
    if (id === null || id === undefined) return "";
    const grown = row.push(id);
    const last = reasons[i] === null ? "" : row.flush();
    if (grown.stopped && reasons[i] !== "eos") {
      generation.stop(i);
      reasons[i] = "stop";
    }
    return grown.text + last;
  });
  return { text, finished: reasons };
}

function within(ids: readonly number[], limit: number): readonly number[] {
  return ids.filter((id) => id < limit);
}
