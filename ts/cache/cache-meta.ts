/** How a cache was recorded, and what that says about what is not in it. */

import type { DType } from "../engine/engine.ts";
import { HookPoint, layerOf } from "../hooks/hook-point.ts";
import { describe } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** How a cache was recorded. */
export interface CacheMeta {
  /** The model's name. */
  readonly model: string;
  /** The names filter as it was given; functions and expressions as text. Null: the points that are recorded unasked. */
  readonly namesFilter: string | null;
  /** The positions kept, as they were given. */
  readonly posSlice: unknown;
  /** Whether the batch axis was dropped. */
  readonly removeBatchDim: boolean;
  /** What floats were converted to, if anything. */
  readonly dtype: DType | null;
  /** Whether gradients were recorded. */
  readonly inclBwd: boolean;
  /** The block in which the run started, if not at the beginning. */
  readonly startAtLayer: number | null;
  /** The block before which the run stopped, if not at the end. */
  readonly stopAtLayer: number | null;
  /** What the run gave: with `null` the unembedding did not run. */
  readonly returnType: "logits" | "loss" | "both" | null;
  /** The token ids of the run, `[batch, pos]`, if there were any; `[pos]` where the cache has no batch axis. */
  readonly tokens: Tensor | null;
}

/** A names filter as text. */
export function filterText(filter: unknown): string | null {
  if (filter === undefined || filter === null) return null;
  if (typeof filter !== "object" || !(Symbol.iterator in filter)) return targetText(filter);
  return Array.from(filter as Iterable<unknown>, targetText).join(", ");
}

function targetText(target: unknown): string {
  const known = typeof target !== "object" || target instanceof RegExp || target instanceof HookPoint;
  return known ? String(target) : describe(target);
}

const AFTER_THE_BLOCKS = /^(ln_final|unembed)\./;
const BEFORE_THE_BLOCKS = /^(hook_embed|hook_pos_embed|hook_tokens|embed\..*)$/;

/** What may have kept the point of this name from being recorded, most certain first. */
export function reasonsAgainst(name: string, meta: CacheMeta, layers: number, isDefault: boolean): string[] {
  const reasons: string[] = [];
  const { namesFilter, startAtLayer, stopAtLayer, returnType } = meta;
  const counted = (layer: number) => (layer < 0 ? layer + layers : layer);
  const block = name.startsWith("blocks.") ? layerOf(name) : null;
  const late = AFTER_THE_BLOCKS.test(name);
  if (stopAtLayer !== null && (late || (block !== null && block >= counted(stopAtLayer)))) {
    reasons.push(`the run stopped before block ${counted(stopAtLayer)} (stopAtLayer: ${stopAtLayer})`);
  }
  const early = BEFORE_THE_BLOCKS.test(name);
  if (startAtLayer !== null && (early || (block !== null && block < counted(startAtLayer)))) {
    reasons.push(`the run started at block ${counted(startAtLayer)} (startAtLayer: ${startAtLayer})`);
  }
  if (returnType === null && name.startsWith("unembed.")) {
    reasons.push("the unembedding does not run with returnType null");
  }
  if (namesFilter !== null) reasons.push(`namesFilter (${namesFilter.slice(0, 200)}) may have excluded it`);
  else if (!isDefault) reasons.push("it costs extra work and is recorded only when namesFilter names it");
  return reasons;
}
