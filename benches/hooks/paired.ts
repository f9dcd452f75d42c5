/** Timing things against each other on a machine that has other things to do. */

/** What was measured, in the unit of the clock that was used. */
export interface Timing {
  readonly median: number;
  readonly min: number;
}

export interface Candidate {
  readonly name: string;
  /** Untimed: before each timed run. */
  readonly prepare?: () => void;
  readonly run: () => void;
  /** Untimed: after each timed run. */
  readonly clean?: () => void;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function timing(values: readonly number[]): Timing {
  return { median: median(values), min: Math.min(...values) };
}

/**
 * Times of candidates that take turns, so that a busy moment slows them all: by name, in nanoseconds, in order, so that
 * the n-th times of all were taken one right after the other.
 */
export function interleaved(candidates: readonly Candidate[], rounds: number): Map<string, number[]> {
  const times = new Map(candidates.map(({ name }): [string, number[]] => [name, []]));
  // The first two rounds warm caches and the compiler of JavaScript, and are forgotten.
  for (let round = -2; round < rounds; round++) {
    for (const { name, prepare, run, clean } of candidates) {
      prepare?.();
      const start = process.hrtime.bigint();
      run();
      const time = Number(process.hrtime.bigint() - start);
      clean?.();
      if (round >= 0) times.get(name)?.push(time);
    }
  }
  return times;
}

/** Differences of times taken one right after the other. */
export function differences(
  times: ReadonlyMap<string, readonly number[]>,
  one: string,
  other: string,
): number[] {
  const others = times.get(other) ?? [];
  return (times.get(one) ?? []).flatMap((time, i) => {
    const against = others[i];
    return against === undefined ? [] : [time - against];
  });
}
