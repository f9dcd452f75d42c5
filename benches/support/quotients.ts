/** Times of two things that took turns, against each other. */

import { median } from "../hooks/paired.ts";

export interface Quotient {
  /** The median of the quotients of neighbouring runs. */
  readonly median: number;
  /** The quotient of the least times, which a busy machine disturbs less. */
  readonly least: number;
}

/** How long `one` takes in terms of `other`: the n-th times of both were taken one right after the other. */
export function quotient(one: readonly number[], other: readonly number[]): Quotient {
  return {
    median: median(one.map((time, i) => time / (other[i] ?? Number.NaN))),
    least: Math.min(...one) / Math.min(...other),
  };
}
