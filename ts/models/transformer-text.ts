/** Text on its way into a transformer and out of it. */

import type { EngineModel } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { checkFlags } from "../hooks/call-options.ts";
import { describe, isTensor } from "../tensor/base.ts";
import { tensor } from "../tensor/create.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { attentionMaskOf } from "../text/attention-mask.ts";
import { type Batch, fromIds, fromTexts, type Ids, idsOf, type Tokens } from "../text/batch.ts";
import type { PaddingSide, Tokenizer } from "../text/tokenizer.ts";
import { checkSide, paddingRules } from "./padded-ids.ts";
import { TransformerModules } from "./transformer-modules.ts";

/** How texts become tokens. */
export interface ToTokensOptions {
  /**
   * Put the beginning-of-sequence token first.
   * @default the model's `cfg.default_prepend_bos`; false if the tokenizer has no such token
   */
  readonly prependBos?: boolean;
  /**
   * Where shorter texts are filled up.
   * @default the tokenizer's own
   */
  readonly paddingSide?: PaddingSide;
  /**
   * Cut texts to the model's context.
   * @default true
   */
  readonly truncate?: boolean;
}

const TOKEN_KEYS: readonly string[] = ["prependBos", "paddingSide", "truncate"];

/** Which of several places {@link TransformerText.getTokenPosition} gives. */
export interface TokenPositionOptions extends ToTokensOptions {
  /** @default "first" */
  readonly mode?: "first" | "last";
}

/** The texts in an input: one, several, or null if it is none. @internal */
export function textsOf(input: unknown): readonly string[] | null {
  if (typeof input === "string") return [input];
  return Array.isArray(input) && input.length > 0 && typeof input[0] === "string" ? input : null;
}

/**
 * A transformer that reads text, if it has a tokenizer.
 *
 * @category Text
 */
export abstract class TransformerText extends TransformerModules {
  /** Turns text into token ids; null if the model came without one. */
  readonly tokenizer: Tokenizer | null;

  /** @internal */
  constructor(model: EngineModel, tokenizer: Tokenizer | null) {
    super(model);
    this.tokenizer = tokenizer;
  }

  /** Texts as a batch of ids. @internal */
  protected encode(texts: readonly string[], options: ToTokensOptions): Batch {
    const tokenizer = this.needTokenizer();
    const {
      // Without such a token its name would be read as text.
      prependBos = this.cfg.default_prepend_bos && (tokenizer.prependsBos || tokenizer.bosId !== null),
      paddingSide = tokenizer.paddingSide,
      truncate = true,
    } = options;
    checkFlags({ prependBos, truncate });
    checkSide(paddingSide);
    return fromTexts(texts, tokenizer, { prependBos, paddingSide, limit: truncate ? this.cfg.n_ctx : null });
  }

  /** @internal */
  protected needTokenizer(): Tokenizer {
    if (this.tokenizer !== null) return this.tokenizer;
    throw hooklensError(
      "tokenizer_required",
      "this model came without a tokenizer (its folder has no tokenizer.json): give token ids, or a tokenizer when loading",
    );
  }

  /**
   * Which of these ids are tokens (1) and which are padding (0), `[batch, pos]`: the run of padding tokens at the end or
   * the start of each row, without the beginning of sequence where that is the same token.
   *
   * @param options how the rows were made: the defaults are those of {@link toTokens}.
   */
  getAttentionMask(tokens: Tensor | Ids, options: Omit<ToTokensOptions, "truncate"> = {}): Tokens {
    checkOptionKeys("getAttentionMask", options, ["prependBos", "paddingSide"]);
    const { rows } = idsOf(tokens);
    const rules = paddingRules(this.needTokenizer(), this.cfg, options);
    return fromIds(rows.map((row) => (rules === null ? row.map(() => 1) : attentionMaskOf(row, rules))));
  }

  /** Token ids `[batch, pos]` of one text or several. */
  toTokens(input: string | readonly string[], options: ToTokensOptions = {}): Tokens {
    const texts = textsOf(input);
    if (texts === null)
      throw hooklensError("invalid_argument", `toTokens: expected text, got ${describe(input)}`);
    checkOptionKeys("toTokens", options, TOKEN_KEYS);
    return this.encode(texts, options).tokens;
  }

  /** The text of token ids: one string for `[pos]`, a list for `[batch, pos]`. Without ids, a description of the model. */
  override toString(): string;
  override toString(tokens: Tensor | Ids | number): string | string[];
  override toString(tokens?: Tensor | Ids | number): string | string[] {
    if (tokens === undefined) {
      const { model_name, n_layers, n_heads, d_model } = this.cfg;
      return `${this.constructor.name}(${model_name}, ${n_layers} layers, ${n_heads} heads, d_model ${d_model})`;
    }
    const tokenizer = this.needTokenizer();
    const { rows, rank } = idsOf(tokens);
    for (const row of rows) this.#checkIds(tokenizer, row);
    const texts = rows.map((row) => tokenizer.decode(row));
    return rank === 2 ? texts : (texts[0] ?? "");
  }

  /** Shows {@link toString} when logged. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /**
   * The tokens of a text or of a row of ids, each as text; of several texts or rows, a list for each. An id that the model
   * has but the tokenizer lacks is shown as `<50280>`.
   */
  toStrTokens(input: string | readonly number[] | Tensor, options?: ToTokensOptions): string[];
  toStrTokens(input: readonly (string | readonly number[] | Tensor)[], options?: ToTokensOptions): string[][];
  toStrTokens(
    input: string | Tensor | readonly number[] | readonly (string | readonly number[] | Tensor)[],
    options: ToTokensOptions = {},
  ): string[] | string[][] {
    const tokenizer = this.needTokenizer();
    const each = (one: string | readonly number[] | Tensor) =>
      this.#row("toStrTokens", one, options).map((id) => this.#strToken(tokenizer, id));
    return isListOfRows(input) ? input.map(each) : each(input);
  }

  /** The ids of one text or of one row of ids. */
  #row(
    what: string,
    input: string | readonly number[] | Tensor,
    options: ToTokensOptions,
  ): readonly number[] {
    const { rows } = idsOf(typeof input === "string" ? this.toTokens(input, options) : input);
    const [row] = rows;
    if (row !== undefined && rows.length === 1) return row;
    throw hooklensError("shape_mismatch", `${what}: expected one row of token ids, got ${rows.length}`);
  }

  /** The id of a text that is exactly one token, such as `" cat"`. Throws `not_single_token` otherwise. */
  toSingleToken(text: string): number {
    if (typeof text !== "string") {
      throw hooklensError("invalid_argument", `toSingleToken: expected text, got ${describe(text)}`);
    }
    const ids = this.needTokenizer().encode(text, false);
    const [id] = ids;
    if (id !== undefined && ids.length === 1) return id;
    throw hooklensError(
      "not_single_token",
      `'${text}' is ${ids.length} tokens, not one${ids.length > 1 ? `: ${this.toStrTokens(ids).join("|")}` : ""}`,
      { text, ids },
    );
  }

  /** The text of one token id, `<50280>` for one that the model has but the tokenizer lacks. */
  toSingleStrToken(id: number): string {
    if (!Number.isInteger(id)) {
      throw hooklensError("invalid_argument", `toSingleStrToken: expected a token id, got ${describe(id)}`);
    }
    return this.#strToken(this.needTokenizer(), id);
  }

  #strToken(tokenizer: Tokenizer, id: number): string {
    this.#checkIds(tokenizer, [id]);
    return id < tokenizer.size ? tokenizer.decode([id]) : `<${id}>`;
  }

  /** Refuses ids that neither the model nor its tokenizer has; either may have more. */
  #checkIds(tokenizer: Tokenizer, ids: readonly number[]): void {
    const limit = Math.max(tokenizer.size, this.cfg.d_vocab, this.cfg.d_vocab_out);
    const bad = ids.find((id) => id < 0 || id >= limit);
    if (bad === undefined) return;
    throw hooklensError(
      "token_out_of_range",
      `token id ${bad} is outside the vocabulary of ${limit} tokens`,
      {
        id: bad,
        dVocab: limit,
      },
    );
  }

  /**
   * The position of a token, given as its text or id, in a text or in one row of ids.
   *
   * @throws `not_single_token`; `invalid_argument` if the token does not occur.
   */
  getTokenPosition(
    token: string | number,
    input: string | readonly number[] | Tensor,
    options: TokenPositionOptions = {},
  ): number {
    checkOptionKeys("getTokenPosition", options, [...TOKEN_KEYS, "mode"]);
    const { mode = "first", ...reading } = options;
    if (mode !== "first" && mode !== "last") {
      throw hooklensError("invalid_argument", `mode: expected 'first' or 'last', got ${describe(mode)}`);
    }
    const id = this.#singleId("getTokenPosition", token);
    const row = this.#row("getTokenPosition", input, reading);
    const position = mode === "first" ? row.indexOf(id) : row.lastIndexOf(id);
    if (position >= 0) return position;
    const got = typeof token === "string" ? `'${token}' (${id})` : id;
    throw hooklensError(
      "invalid_argument",
      `getTokenPosition: token ${got} is not among the ${row.length} tokens`,
      {
        id,
        tokens: row,
      },
    );
  }

  #singleId(what: string, token: string | number): number {
    if (typeof token === "string") return this.toSingleToken(token);
    if (Number.isInteger(token)) return token;
    throw hooklensError("invalid_argument", `${what}: expected a token or its id, got ${describe(token)}`);
  }

  /**
   * The directions of the residual stream that the unembedding reads tokens' logits from, columns of `W_U`: `[d_model]` for
   * one token (its text, its id, or a tensor of one element), `[…shape, d_model]` for several ids.
   */
  tokensToResidualDirections(tokens: string | number | Tensor | Ids): Tensor {
    const one = typeof tokens === "string" || typeof tokens === "number";
    const { rows, rank } = idsOf(one ? this.#singleId("tokensToResidualDirections", tokens) : tokens);
    const ids = rows.flat();
    const limit = this.cfg.d_vocab_out;
    const bad = ids.find((id) => id < 0 || id >= limit);
    if (bad !== undefined) {
      throw hooklensError(
        "token_out_of_range",
        `token id ${bad} is outside the vocabulary of ${limit} tokens`,
        {
          id: bad,
          dVocab: limit,
        },
      );
    }
    const unembed = this.W_U;
    const index = tensor(BigInt64Array.from(ids, BigInt)).to(unembed.device);
    const directions = unembed.indexSelect(1, index).transpose(0, 1);
    if (ids.length === 1) return directions.squeeze(0);
    return rank === 2
      ? directions.reshape([rows.length, rows[0]?.length ?? 0, this.cfg.d_model])
      : directions;
  }
}

function isListOfRows(
  input: string | Tensor | readonly number[] | readonly (string | readonly number[] | Tensor)[],
): input is readonly (string | readonly number[] | Tensor)[] {
  return Array.isArray(input) && input.length > 0 && Array.from<unknown>(input).every(isRow);
}

function isRow(value: unknown): boolean {
  return typeof value === "string" || Array.isArray(value) || isTensor(value);
}
