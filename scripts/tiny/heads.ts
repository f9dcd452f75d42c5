/**
 * What the heads of a published model attend to on repeated random tokens (Olsson et al., "In-context learning and
 * induction heads", 2022).
 */
import { type HookedTransformer, noGrad, tensor, tidy } from "../../ts/index.ts";
import { repeatedOnce } from "./repeats.ts";

/** Mean attention of a head, from 0 to 1. */
export interface HeadScores {
  readonly layer: number;
  readonly head: number;
  /** Of every token to the one before it. */
  readonly previous: number;
  /** Of the second occurrence of a token to the token that followed the first. */
  readonly induction: number;
}

/** Sequences of so many different tokens are measured, so many of them, drawn with this seed. */
export const scoredSequences = { seed: 0, batch: 32, length: 50 } as const;

/** The scores of every head, layer by layer. */
export function headScores(model: HookedTransformer): HeadScores[] {
  const { seed, batch, length } = scoredSequences;
  const { ids } = repeatedOnce(seed, batch, length, model.cfg.d_vocab);
  return noGrad(() =>
    tidy(() => {
      const tokens = tensor(ids, { shape: [batch, ids.length / batch] });
      const [, cache] = model.runWithCache(tokens, { namesFilter: "blocks.*.attn.hook_pattern" });
      return Array.from({ length: model.cfg.n_layers }, (_, layer) => {
        const pattern = cache.get(`blocks.${layer}.attn.hook_pattern`);
        // [batch, head, entry]: entries of a diagonal are in order of the query, the last ones of the second half.
        const previous = pattern.diagonal(-1, 2, 3).mean([0, 2]).toFloat32Array();
        const induction = pattern
          .diagonal(1 - length, 2, 3)
          .slice(2, -length)
          .mean([0, 2])
          .toFloat32Array();
        return Array.from(previous, (score, head) => ({
          layer,
          head,
          previous: score,
          induction: induction[head] ?? Number.NaN,
        }));
      }).flat();
    }),
  );
}
