/**
 * Why a model predicts what it predicts for one prompt: the computation behind `hooklens explain`, from forwards of the
 * model as it is, through the public API only.
 */

import { hooklensError } from "../engine/errors.ts";
import { zero } from "../hooks/interventions.ts";
import type { Progress } from "../models/forward-options.ts";
import { HookedTransformer } from "../models/hooked-transformer.ts";
import { describe } from "../tensor/base.ts";
import { type Tensor, tidy } from "../tensor/index.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Candidate, ExplainReport, LensRow } from "./explain-report.ts";
import { headShares, shownPositions } from "./head-patterns.ts";

/** Settings of {@link explain}. */
export interface ExplainOptions {
  /**
   * How the report calls the model.
   * @default the name in the model's config
   */
  readonly modelName?: string;
  /**
   * How many next tokens to report.
   * @default 5
   */
  readonly top?: number;
  /**
   * The next token to explain; it must be a single token, mostly with a leading space.
   * @default the most probable one
   */
  readonly answer?: string;
  /**
   * The head whose whole attention pattern to report.
   * @default the one with the largest effect
   */
  readonly head?: {
    /** From 0. */
    readonly layer: number;
    /** Number within the layer, from 0. */
    readonly head: number;
  };
  /**
   * At how many positions to report the attention of all heads, which takes `nLayers * nHeads` times their square
   * numbers. Of a longer prompt the first position and the last ones are reported.
   * @default 128
   */
  readonly patternPositions?: number;
  /** Called after each piece of work; all but the first few take about equally long. */
  readonly onProgress?: (progress: Progress) => void;
}

const OPTION_KEYS = ["modelName", "top", "answer", "head", "patternPositions", "onProgress"];

/** Positions times rows that one forward of the ablation sweep takes on at most, which bounds its memory. */
const sweepPositions = 2048;

/**
 * Explains the model's next token after `prompt`.
 *
 * Takes one forward and backward, a final norm and unembedding a layer for the logit lens, and for the ablations one
 * batched forward a layer, each starting at that layer: together about as long as `nLayers * nHeads / 2` forwards. The
 * patterns take one more forward.
 *
 * @throws `invalid_argument` for an empty prompt, `context_length` for one that is too long, `not_single_token` for an
 * answer of several tokens, `index_out_of_range` for a head that does not exist, `invalid_argument` where a logit is no
 * number or infinite: such a model predicts nothing.
 */
export function explain(
  model: HookedTransformer,
  prompt: string,
  options: ExplainOptions = {},
): ExplainReport {
  if (!(model instanceof HookedTransformer)) {
    throw hooklensError("invalid_argument", `explain: expected a HookedTransformer, got ${describe(model)}`);
  }
  return tidy(() => new Explanation(model, prompt, options).report());
}

class Explanation {
  readonly #model: HookedTransformer;
  readonly #prompt: string;
  readonly #options: ExplainOptions;
  /** `[1, pos]` */
  readonly #tokens: Tensor;
  readonly #ids: readonly number[];
  #done = 0;

  constructor(model: HookedTransformer, prompt: string, options: ExplainOptions) {
    this.#model = model;
    this.#prompt = prompt;
    checkOptionKeys("explain", options, OPTION_KEYS);
    this.#options = options;
    for (const name of ["top", "patternPositions"] as const) {
      const count = options[name];
      if (count === undefined || (Number.isInteger(count) && count > 0)) continue;
      throw hooklensError(
        "invalid_argument",
        `${name}: expected a whole number above 0, got ${describe(count)}`,
      );
    }
    const { onProgress } = options;
    if (onProgress !== undefined && typeof onProgress !== "function") {
      throw hooklensError("invalid_argument", `onProgress: expected a function, got ${describe(onProgress)}`);
    }
    if (prompt === "")
      throw hooklensError("invalid_argument", "the prompt is empty: there is nothing to continue");
    // Truncation would explain another prompt than the one that was asked about.
    this.#tokens = model.toTokens(prompt, { truncate: false });
    this.#ids = [...this.#tokens.toBigInt64Array()].map(Number);
    const { n_ctx: nCtx } = model.cfg;
    if (this.#ids.length > nCtx) {
      throw hooklensError(
        "context_length",
        `the prompt has ${this.#ids.length} tokens, the model has n_ctx = ${nCtx}`,
        { required: this.#ids.length, nCtx },
      );
    }
    this.#checkHead();
  }

  #checkHead(): void {
    const { n_layers: nLayers, n_heads: nHeads } = this.#model.cfg;
    const { head } = this.#options;
    if (head === undefined) return;
    checkOptionKeys("head", head, ["layer", "head"]);
    for (const [name, number] of [["layer", head.layer] as const, ["head", head.head] as const]) {
      if (Number.isInteger(number)) continue;
      throw hooklensError(
        "invalid_argument",
        `head.${name}: expected a whole number, got ${describe(number)}`,
      );
    }
    if (head.layer >= 0 && head.layer < nLayers && head.head >= 0 && head.head < nHeads) return;
    throw hooklensError(
      "index_out_of_range",
      `head ${head.layer}.${head.head}: the model has layers 0 to ${nLayers - 1} and heads 0 to ${nHeads - 1}`,
      { ...head, nLayers, nHeads },
    );
  }

  report(): ExplainReport {
    const {
      n_layers: nLayers,
      n_heads: nHeads,
      d_model: dModel,
      n_ctx: nCtx,
      d_vocab: dVocab,
    } = this.#model.cfg;
    const { answer: asked, modelName, top = 5, patternPositions = 128 } = this.#options;
    const [logits, residuals] = this.#residuals();
    this.#advance();
    const last = new NextTokens(lastPosition(logits), this.#model).checked();
    const answerId = asked === undefined ? last.best(1)[0] : this.#model.toSingleToken(asked);
    if (answerId === undefined) throw hooklensError("internal", "the model has no vocabulary");

    const effects = residuals.slice(0, nLayers).map((residual, layer) => {
      const logits = this.#ablations(layer, residual, answerId);
      this.#advance();
      return logits.map((logit) => logit - last.logit(answerId));
    });
    const positions = shownPositions(this.#ids.length, patternPositions);
    return {
      version: 1,
      model: {
        name: modelName ?? this.#model.cfg.model_name,
        nLayers,
        nHeads,
        dModel,
        nCtx,
        dVocab,
      },
      prompt: this.#prompt,
      tokens: this.#ids.map((id, position) => ({ position, id, text: this.#model.toSingleStrToken(id) })),
      next: last.best(top).map((id) => last.candidate(id)),
      answer: {
        ...last.candidate(answerId),
        rank: last.rank(answerId),
        chosenBy: asked === undefined ? "model" : "user",
      },
      logitLens: residuals.map((residual, blocks) => {
        const row = this.#lensRow(residual, blocks, answerId);
        this.#advance();
        return row;
      }),
      headAblation: { baseline: last.logit(answerId), effects },
      attention: this.#attention(effects, residuals),
      patterns: {
        positions,
        shares: residuals.slice(0, nLayers).map((residual, layer) => {
          const shares = tidy(() => headShares(this.#pattern(layer, residual), positions));
          this.#advance();
          return shares;
        }),
      },
      residualNorms: {
        hooks: residualNames(nLayers),
        values: residuals.map((residual) => tidy(() => [...norms(residual)])),
      },
      attribution: this.#attribution(answerId),
    };
  }

  /** A piece of work is done: the first forward, and for each layer the ablations, the lens and the patterns. */
  #advance(): void {
    this.#done += 1;
    this.#options.onProgress?.({ done: this.#done, total: 2 + 3 * this.#model.cfg.n_layers });
  }

  /** Logits `[1, pos, d_vocab]`, and the residual stream `[1, pos, d_model]` before each block and after the last. */
  #residuals(): [Tensor, Tensor[]] {
    const names = residualNames(this.#model.cfg.n_layers);
    const [logits, cache] = this.#model.runWithCache(this.#tokens, { namesFilter: names });
    using recorded = cache;
    return [logits, names.map((name) => recorded.get(name))];
  }

  /** The final norm and the unembedding of a residual stream: `[batch, pos, d_model]` to `[batch, pos, d_vocab]`. */
  #unembed(residual: Tensor): Tensor {
    return this.#model.forward(residual, { startAtLayer: this.#model.cfg.n_layers });
  }

  #lensRow(residual: Tensor, blocks: number, answerId: number): LensRow {
    return tidy(() => {
      const logits = this.#unembed(residual);
      const next = new NextTokens(lastPosition(logits), this.#model);
      const { values, indices } = logits.max(-1);
      const best = values.toFloat32Array();
      const shares = values.sub(logits.logsumexp(-1)).exp().toFloat32Array();
      return {
        hook: residualNames(this.#model.cfg.n_layers)[blocks] ?? "",
        blocks,
        top: next.best(3).map((id) => next.candidate(id)),
        answer: {
          probability: next.probability(answerId),
          logit: next.logit(answerId),
          rank: next.rank(answerId),
        },
        best: [...indices.toBigInt64Array()].map((id, position) => ({
          id: Number(id),
          text: this.#model.toSingleStrToken(Number(id)),
          logit: best[position] ?? Number.NaN,
          probability: shares[position] ?? Number.NaN,
        })),
      };
    });
  }

  /** The answer's logit with each head of a layer silenced, given the residual stream before that layer. */
  #ablations(layer: number, residual: Tensor, answerId: number): number[] {
    const { n_layers: nLayers, n_heads: nHeads } = this.#model.cfg;
    const rows = Math.max(1, Math.floor(sweepPositions / this.#ids.length));
    const heads = Array.from({ length: nHeads }, (_, head) => head);
    const logits: number[] = [];
    for (let first = 0; first < nHeads; first += rows) {
      tidy(() => {
        const silenced = heads.slice(first, first + rows);
        using _scope = this.#model.hooks({
          fwdHooks: silenced.map(
            (head, row) => [`blocks.${layer}.attn.hook_z`, zero().at({ row, head })] as const,
          ),
        });
        const output = this.#model.forward(residual.repeat(silenced.length, 1, 1), {
          startAtLayer: layer,
          stopAtLayer: nLayers,
        });
        const answers = this.#unembed(output.slice(1, -1)).narrow(2, answerId, 1);
        logits.push(...answers.toFloat32Array());
      });
    }
    return logits;
  }

  #attention(
    effects: readonly (readonly number[])[],
    residuals: readonly Tensor[],
  ): ExplainReport["attention"] {
    const { head: asked } = this.#options;
    const ranked = effects
      .flatMap((row, layer) => row.map((effect, head) => ({ layer, head, effect })))
      .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
    const chosen = asked ?? ranked[0];
    const residual = residuals[chosen?.layer ?? 0];
    if (chosen === undefined || residual === undefined)
      throw hooklensError("internal", "the model has no heads");
    const { layer, head } = chosen;

    const pattern = this.#pattern(layer, residual).narrow(1, head, 1).squeeze([0, 1]);
    return {
      layer,
      head,
      effect: effects[layer]?.[head] ?? Number.NaN,
      chosenBy: asked === undefined ? "effect" : "user",
      pattern: pattern.toArray(2),
    };
  }

  /** The patterns `[1, head, query, key]` of a layer, given the residual stream before it. */
  #pattern(layer: number, residual: Tensor): Tensor {
    const name = `blocks.${layer}.attn.hook_pattern` as const;
    const [, cache] = this.#model.runWithCache(residual, {
      namesFilter: name,
      startAtLayer: layer,
      stopAtLayer: layer + 1,
    });
    using recorded = cache;
    return recorded.get(name);
  }

  #attribution(answerId: number): ExplainReport["attribution"] {
    const hook = "hook_embed";
    const seen: { value?: Tensor; gradient?: Tensor } = {};
    using _scope = this.#model.hooks({
      fwdHooks: {
        [hook]: (value) => {
          seen.value = value.detach();
        },
      },
      bwdHooks: {
        [hook]: (gradient) => {
          seen.gradient = gradient.detach();
        },
      },
    });
    const logits = this.#model.forward(this.#tokens);
    lastPosition(logits).narrow(0, answerId, 1).sum().backward();
    if (seen.value === undefined || seen.gradient === undefined) {
      throw hooklensError("internal", `${hook} did not fire`);
    }
    return { hook, values: [...seen.value.mul(seen.gradient).sum(-1).toFloat32Array()] };
  }
}

type ResidualName = `blocks.${number}.hook_resid_pre` | `blocks.${number}.hook_resid_post`;

/** Where the residual stream is read: before each block, and after the last. */
function residualNames(nLayers: number): ResidualName[] {
  const before = Array.from(
    { length: nLayers },
    (_, layer): ResidualName => `blocks.${layer}.hook_resid_pre`,
  );
  return [...before, `blocks.${nLayers - 1}.hook_resid_post`];
}

/** `[1, pos, d_model]` to the norm at each position. */
function norms(residual: Tensor): Float32Array {
  return residual.float().square().sum(-1).sqrt().toFloat32Array();
}

/** `[1, pos, d_vocab]` to `[d_vocab]`. */
function lastPosition(logits: Tensor): Tensor {
  return logits.slice(1, -1).flatten();
}

/** What the model thinks of every token at one position. */
class NextTokens {
  readonly #logits: Float32Array;
  readonly #logNormalizer: number;
  readonly #model: HookedTransformer;

  /** @param logits `[d_vocab]` */
  constructor(logits: Tensor, model: HookedTransformer) {
    this.#logits = logits.toFloat32Array();
    this.#logNormalizer = logits.logsumexp().item();
    this.#model = model;
  }

  /** Itself, if there is a most probable token. */
  checked(): this {
    const bad = this.#logits.findIndex((logit) => Number.isNaN(logit) || logit === Number.POSITIVE_INFINITY);
    if (bad < 0) return this;
    throw hooklensError(
      "invalid_argument",
      `the logit of token ${bad} after the prompt is ${this.logit(bad)}; a hook or a weight is off`,
      { token: bad },
    );
  }

  logit(id: number): number {
    return this.#logits[id] ?? Number.NaN;
  }

  probability(id: number): number {
    return Math.exp(this.logit(id) - this.#logNormalizer);
  }

  /** How many tokens are strictly better. */
  rank(id: number): number {
    const own = this.logit(id);
    return this.#logits.reduce((better, logit) => better + (logit > own ? 1 : 0), 0);
  }

  /** The best ids, best first; of equals the lower id. */
  best(count: number): number[] {
    const order = Array.from(this.#logits.keys());
    return order.sort((a, b) => this.logit(b) - this.logit(a)).slice(0, count);
  }

  candidate(id: number): Candidate {
    return {
      id,
      text: this.#model.toSingleStrToken(id),
      logit: this.logit(id),
      probability: this.probability(id),
    };
  }
}
