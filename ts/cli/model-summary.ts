/** What a model is made of, as data: what `hooklens info` and `hooklens hooks` print. */

import type { Glob } from "../hooks/names.ts";
import type { NamesFilter } from "../hooks/selection.ts";
import type { Progress } from "../models/forward-options.ts";
import type { HookedTransformer } from "../models/hooked-transformer.ts";
import type { TransformerConfig } from "../models/transformer-config.ts";
import type { TransformerPoints } from "../models/transformer-points.ts";
import { bytesOf } from "../tensor/bytes.ts";

/** A hook point and what passes it. */
export interface PointSummary {
  readonly name: string;
  /** Names of the axes. */
  readonly axes: readonly string[];
  /** Sizes of the axes; null where they are those of the input. */
  readonly shape: readonly (number | null)[];
  /** Whether an unfiltered cache records it. */
  readonly default: boolean;
}

/** A weight. */
export interface ParameterSummary {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** What `hooklens info --json` prints. */
export interface ModelSummary {
  /** Version of this form. It changes when a field changes its meaning. */
  readonly version: 1;
  /** As it was asked for. */
  readonly model: string;
  readonly config: TransformerConfig;
  readonly parameters: {
    /** Numbers in all weights; an unembedding that is tied to the embedding does not count again. */
    readonly count: number;
    /** Bytes that these numbers take in their dtypes. */
    readonly bytes: number;
    readonly list: readonly ParameterSummary[];
  };
  /** Bytes that the engine holds for the model, tied weights once. */
  readonly memory: number;
  readonly hookPoints: readonly PointSummary[];
}

/** Axes that have the size of the input. */
const ofInput: ReadonlySet<string> = new Set(["batch", "pos", "query", "key"]);

/** The model's weights. */
export function parametersOf(model: HookedTransformer): ModelSummary["parameters"] {
  const list: ParameterSummary[] = [];
  let [count, bytes] = [0, 0];
  for (const [name, parameter] of model.namedParameters()) {
    list.push({ name, shape: parameter.shape, dtype: parameter.dtype });
    if (name !== "unembed.W_U" || !model.cfg.tie_word_embeddings) {
      count += parameter.size;
      bytes += parameter.size * bytesOf(parameter.dtype);
    }
    parameter.dispose();
  }
  return { count, bytes, list };
}

/**
 * The model's hook points with the shapes that they have in a run: the model runs on two tokens.
 *
 * @param filter a name, glob or expression; by default all points.
 * @param onProgress is told how many blocks of all these runs are done.
 * @throws `unknown_hook` or `invalid_names_filter` for a filter that selects nothing.
 */
export async function pointsOf(
  model: HookedTransformer,
  filter?: string | RegExp,
  onProgress?: (progress: Progress) => void,
): Promise<PointSummary[]> {
  const all = [...model.hookDict.values()];
  // Points that are recorded only when named may change the axes of others: they have a run of their own.
  const runs: NamesFilter<TransformerPoints>[] = [true, false].map((isDefault) =>
    all.filter((point) => point.isDefault === isDefault),
  );
  if (filter !== undefined) runs.unshift(targetOf(model, filter));
  const blocks = model.cfg.n_layers;
  const recordings: Map<string, readonly number[]>[] = [];
  for (const [run, points] of runs.entries()) {
    const tell = ({ done }: Progress) =>
      onProgress?.({ done: run * blocks + done, total: runs.length * blocks });
    recordings.push(await recorded(model, points, tell));
  }
  const wanted = filter === undefined ? null : recordings.shift();
  const shapes = new Map(recordings.flatMap((recording) => [...recording]));
  return [...model.hookDict].flatMap(([name, point]) => {
    if (wanted?.has(name) === false) return [];
    const sizes = shapes.get(name);
    const shape = point.axes.map((axis, i) => (ofInput.has(axis) ? null : (sizes?.[i] ?? null)));
    return [{ name, axes: point.axes, shape, default: point.isDefault }];
  });
}

/** What a names filter makes of a text that is only known at run time. */
function targetOf(model: HookedTransformer, filter: string | RegExp): NamesFilter<TransformerPoints> {
  if (filter instanceof RegExp) return filter;
  const isGlob = (text: string): text is Glob => /[*?[{]/.test(text);
  return isGlob(filter) ? filter : [model.hookPoint(filter)];
}

async function recorded(
  model: HookedTransformer,
  namesFilter: NamesFilter<TransformerPoints>,
  onProgress: (progress: Progress) => void,
): Promise<Map<string, readonly number[]>> {
  const ids = Array.from({ length: Math.min(2, model.cfg.n_ctx) }, () => 0);
  const [logits, cache] = await model.runWithCacheAsync([ids], { namesFilter, onProgress });
  logits.dispose();
  using activations = cache;
  return new Map([...activations].map(([name, activation]) => [name, activation.shape]));
}
