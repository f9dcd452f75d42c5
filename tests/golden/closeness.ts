/** How far a tensor may be from the reference: `absolute + relative · max|reference|`. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** The largest difference found in one tensor, as a share of what is allowed. */
export interface Difference {
  readonly name: string;
  /** Largest |ours − reference|; infinite where one is NaN or infinite and the other is not the same. */
  readonly error: number;
  /** `error` over the allowed error: above 1 fails. */
  readonly share: number;
}

/** Compares values; `counts` says which positions count (all by default). */
export function difference(
  name: string,
  ours: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance: Tolerance,
  counts: (index: number) => boolean = () => true,
): Difference {
  if (ours.length !== reference.length)
    return { name, error: Number.POSITIVE_INFINITY, share: Number.POSITIVE_INFINITY };
  let largest = 0;
  let error = 0;
  for (let i = 0; i < reference.length; i++) {
    const want = reference[i] ?? Number.NaN;
    const got = ours[i] ?? Number.NaN;
    if (Number.isFinite(want)) largest = Math.max(largest, Math.abs(want));
    if (!counts(i) || Object.is(want, got) || want === got) continue;
    const gap = Math.abs(got - want);
    error = Math.max(error, Number.isNaN(gap) ? Number.POSITIVE_INFINITY : gap);
  }
  return { name, error, share: error / (tolerance.absolute + tolerance.relative * largest) };
}
