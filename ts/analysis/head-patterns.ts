/** Attention of all heads as numbers, for as many positions as can be shown. */

import { tensor } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** All positions of a prompt, or the first and the last ones where it has more than `most`. */
export function shownPositions(length: number, most: number): number[] {
  const all = Array.from({ length }, (_, position) => position);
  if (length <= most) return all;
  // Heads that have nothing to look for look at the first position, which is therefore never left out.
  return most === 1 ? all.slice(-1) : [0, ...all.slice(1 - most)];
}

const decimals = 1e6;

/** `[1, head, query, key]` to `[head][query][key]` at these positions. */
export function headShares(pattern: Tensor, positions: readonly number[]): number[][][] {
  const heads = pattern.shape[1] ?? 0;
  const at = tensor(positions, { dtype: "int64" });
  const shares = pattern.indexSelect(2, at).indexSelect(3, at).toFloat32Array();
  const side = positions.length;
  const row = (head: number, query: number) => {
    const start = (head * side + query) * side;
    return Array.from(
      shares.subarray(start, start + side),
      (share) => Math.round(share * decimals) / decimals,
    );
  };
  return Array.from({ length: heads }, (_, head) => positions.map((_, query) => row(head, query)));
}
