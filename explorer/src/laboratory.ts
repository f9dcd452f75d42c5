/**
 * Runs experiments: the page's use of hooklens. It knows no page, so that it works in a worker as in a test, and gives
 * plain numbers.
 */

import {
  HookedTransformer,
  type Intervention,
  type LoadOptions,
  type ModelLocation,
  patchFrom,
  scale,
  set,
  type Tensor,
  tidy,
  zero,
} from "hooklens";
import { type Edit, type Experiment, nameOf, pointOf } from "./experiment.ts";

/** What the page needs to know of a model. */
export interface ModelFacts {
  readonly name: string;
  readonly layers: number;
  readonly heads: number;
  /** Longest sequence in tokens. */
  readonly context: number;
  readonly vocabulary: number;
  /** Whether blocks have MLPs. */
  readonly mlp: boolean;
}

/** A token and how likely it is. */
export interface Guess {
  readonly text: string;
  /** 0 to 1. */
  readonly probability: number;
}

/** What passes in one run. */
export interface Reading {
  /** `[layer, head, query, key]`, row-major. */
  readonly patterns: Float32Array;
  /** `[layer + 1][position]`: the best next token from the embedding up. */
  readonly lens: readonly (readonly Guess[])[];
  /** `[layer + 1][position]`: length of the residual stream. */
  readonly norms: readonly (readonly number[])[];
}

/** A next token before and after the edits. */
export interface Change {
  readonly id: number;
  readonly text: string;
  /** Probability without the edits, 0 to 1. */
  readonly before: number;
  /** Probability with them; the same where there are none. */
  readonly after: number;
  /** What its logit gained. */
  readonly gain: number;
}

/** What an experiment found. */
export interface Findings {
  readonly tokens: readonly string[];
  readonly sourceTokens: readonly string[];
  readonly plain: Reading;
  /** Null without edits. */
  readonly edited: Reading | null;
  /** The most probable tokens of both, those first that are most probable with the edits. */
  readonly next: readonly Change[];
}

interface Run {
  readonly reading: Reading;
  /** Of the last position, `[d_vocab]`. */
  readonly logits: Float32Array;
}

/** How many next tokens of each run are listed. */
const LISTED = 8;

/** A model and what it was asked last. */
export class Laboratory {
  #model: HookedTransformer | null = null;
  #name = "";
  #plain: { readonly prompt: string; readonly run: Run } | null = null;

  /**
   * Loads a model, in place of the one before, which is let go first: there may not be room for both.
   *
   * @param name what experiments call it.
   * @param location where it is, if its name does not say that.
   */
  async load(
    name: string,
    location: ModelLocation = name,
    options: Pick<LoadOptions, "dtype" | "onProgress"> = {},
  ): Promise<ModelFacts> {
    this.#model?.dispose();
    this.#model = null;
    const loaded = await HookedTransformer.fromPretrained(location, options);
    this.#model = loaded;
    this.#name = name;
    this.#plain = null;
    const { n_layers, n_heads, n_ctx, d_vocab, attn_only } = loaded.cfg;
    return { name, layers: n_layers, heads: n_heads, context: n_ctx, vocabulary: d_vocab, mlp: !attn_only };
  }

  /** Runs the prompt as it is and with the edits. */
  run({ model: name, prompt, source, edits }: Experiment): Findings {
    const model = this.#model;
    if (model === null || this.#name !== name) throw new Error("the model is not loaded");
    if (prompt === "") throw new Error("The prompt is empty: there is nothing to continue.");
    return tidy(() => {
      const tokens = model.toTokens(prompt, { truncate: false });
      const sourceTokens = source === "" ? null : model.toTokens(source, { truncate: false });
      if (this.#plain?.prompt !== prompt) this.#plain = { prompt, run: this.#look(model, tokens, []) };
      const plain = this.#plain.run;
      const hooks = this.#hooks(model, edits, tokens, sourceTokens);
      const edited = hooks.length === 0 ? null : this.#look(model, tokens, hooks);
      return {
        tokens: model.toStrTokens(tokens),
        sourceTokens: sourceTokens === null ? [] : model.toStrTokens(sourceTokens),
        plain: plain.reading,
        edited: edited?.reading ?? null,
        next: changes(model, plain.logits, (edited ?? plain).logits),
      };
    });
  }

  /** The edits as hooks; those that patch run the second prompt first. */
  #hooks(
    model: HookedTransformer,
    edits: readonly Edit[],
    tokens: Tensor,
    sourceTokens: Tensor | null,
  ): [string, Intervention][] {
    const length = tokens.shape[1] ?? 0;
    const patched = edits.filter(({ action }) => action === "patch");
    const names = [...new Set(patched.map(pointOf))];
    if (patched.length > 0 && sourceTokens === null) {
      throw new Error("Patching takes activations from the second prompt, which is empty.");
    }
    const points = names.map((name) => model.hookPoint(name));
    const cache =
      sourceTokens === null || points.length === 0
        ? null
        : model.runWithCache(sourceTokens, { namesFilter: points })[1];
    return edits.map((edit) => {
      const { action, factor = 1, head, position } = edit;
      if (position !== undefined && position >= length) {
        throw new Error(`${nameOf(edit)}: the prompt has ${length} tokens, so no position ${position}.`);
      }
      const place = {
        ...(head === undefined ? {} : { head }),
        ...(position === undefined ? {} : { pos: position }),
      };
      const at = (edit: Intervention) => (Object.keys(place).length === 0 ? edit : edit.at(place));
      if (action === "zero") return [pointOf(edit), at(zero())];
      if (action === "scale") return [pointOf(edit), at(scale(factor))];
      const value = cache?.get(pointOf(edit));
      const there = value?.shape[1] ?? 0;
      if (value === undefined) throw new Error(`${nameOf(edit)}: there is nothing to patch from.`);
      if (position === undefined) {
        if (there === length) return [pointOf(edit), at(patchFrom(value))];
        throw new Error(
          `${nameOf(edit)}: the second prompt has ${there} tokens, this one ${length}; make them as long, or patch one position.`,
        );
      }
      if (position >= there) {
        throw new Error(
          `${nameOf(edit)}: the second prompt has ${there} tokens, so no position ${position}.`,
        );
      }
      return [pointOf(edit), at(set(value.at(place).get()))];
    });
  }

  #look(model: HookedTransformer, tokens: Tensor, edits: readonly (readonly [string, Intervention])[]): Run {
    const { n_layers: layers, n_heads: heads } = model.cfg;
    const patternOf = (layer: number) => model.hookPoint(`blocks.${layer}.attn.hook_pattern`);
    const residualOf = (row: number) =>
      model.hookPoint(row === 0 ? "blocks.0.hook_resid_pre" : `blocks.${row - 1}.hook_resid_post`);
    const each = Array.from({ length: layers }, (_, layer) => layer);
    const rows = [...each, layers];
    return tidy(() => {
      using _scope = model.hooks({ fwdHooks: edits.map(([name, edit]) => [model.hookPoint(name), edit]) });
      const namesFilter = [...each.map(patternOf), ...rows.map(residualOf)];
      const [logits, cache] = model.runWithCache(tokens, { namesFilter });
      const length = tokens.shape[1] ?? 0;
      const patterns = new Float32Array(layers * heads * length * length);
      for (const layer of each) {
        const pattern = cache.get(patternOf(layer).name ?? "");
        patterns.set(pattern.float().toFloat32Array(), layer * heads * length * length);
      }
      const residuals = rows.map((row) => cache.get(residualOf(row).name ?? ""));
      const reading = {
        patterns,
        lens: residuals.map((residual) => tidy(() => bestGuesses(model, residual))),
        norms: residuals.map((residual) => [...residual.float().square().sum(-1).sqrt().toFloat32Array()]),
      };
      return { reading, logits: logits.slice(1, -1).flatten().toFloat32Array() };
    });
  }
}

/** The best next token at each position if the model stopped with this residual stream, `[1, pos, d_model]`. */
function bestGuesses(model: HookedTransformer, residual: Tensor): Guess[] {
  const logits = model.forward(residual, { startAtLayer: model.cfg.n_layers });
  const { values, indices } = logits.max(-1);
  const shares = values.sub(logits.logsumexp(-1)).exp().toFloat32Array();
  return [...indices.toBigInt64Array()].map((id, position) => ({
    text: model.toSingleStrToken(Number(id)),
    probability: shares[position] ?? Number.NaN,
  }));
}

function softmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** The ids of the largest numbers, largest first. */
function largestIds(numbers: ArrayLike<number>, count: number): number[] {
  const ids = Array.from({ length: numbers.length }, (_, id) => id);
  return ids.sort((a, b) => (numbers[b] ?? 0) - (numbers[a] ?? 0)).slice(0, count);
}

function changes(model: HookedTransformer, before: Float32Array, after: Float32Array): Change[] {
  const [was, is] = [softmax(before), softmax(after)];
  const ids = new Set([...largestIds(is, LISTED), ...largestIds(was, LISTED)]);
  return [...ids]
    .map((id) => ({
      id,
      text: model.toSingleStrToken(id),
      before: was[id] ?? Number.NaN,
      after: is[id] ?? Number.NaN,
      gain: (after[id] ?? Number.NaN) - (before[id] ?? Number.NaN),
    }))
    .sort((a, b) => b.after - a.after);
}
