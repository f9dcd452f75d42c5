/** Sizes of elements. */

import type { DType } from "../engine/engine.ts";

const sizes: Readonly<Record<DType, number>> = {
  float64: 8,
  int64: 8,
  float32: 4,
  uint32: 4,
  float16: 2,
  bfloat16: 2,
  uint8: 1,
  bool: 1,
};

/** Bytes of an element. */
export function bytesOf(dtype: DType): number {
  return sizes[dtype];
}
