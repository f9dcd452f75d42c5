/** Times of two things that took turns, against each other. */

import type { Run } from "../forward/peer.ts";
import { median } from "../hooks/paired.ts";

interface Quotient {
  /** The median of the quotients of neighbouring runs. */
  readonly median: number;
  /** The quotient of the least times, which a busy machine disturbs less. */
  readonly least: number;
}

/** How long `one` takes in terms of `other`: the n-th times of both were taken one right after the other. */
function quotient(one: readonly number[], other: readonly number[]): Quotient {
  return {
    median: median(one.map((time, i) => time / (other[i] ?? Number.NaN))),
    least: Math.min(...one) / Math.min(...other),
  };
}

/** {@link quotient} of runs: the medians by the clock and by processor time, and the least times by the clock. */
export function quotients(
  one: readonly Run[],
  other: readonly Run[],
): { readonly wall: number; readonly cpu: number; readonly least: number } {
  const of = (kind: "wall" | "cpu") =>
    quotient(
      one.map((run) => run[kind]),
      other.map((run) => run[kind]),
    );
  const { median: wall, least } = of("wall");
  return { wall, cpu: of("cpu").median, least };
}
