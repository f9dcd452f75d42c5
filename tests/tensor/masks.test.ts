// Choosing by a mask at sizes and broadcasts for which float32 has a way of its own: values and gradients must be those
// of float64.

import { describe, expect, test } from "vitest";
import { manualSeed, randn, type Tensor } from "../../ts/index.ts";

/** Shapes of the mask and of the two operands, spread over one another. */
const SHAPES: [mask: number[], a: number[], b: number[]][] = [
  [
    [2, 3, 37, 41],
    [2, 3, 37, 41],
    [2, 3, 37, 41],
  ],
  [[1, 1, 37, 41], [2, 3, 37, 41], [1]],
  [[2, 1, 1, 41], [2, 3, 37, 41], [41]],
  [[2, 3, 37, 1], [41], [2, 3, 37, 41]],
  [[41], [1], [3, 37, 41]],
  [[1], [37, 41], [41]],
  [[900, 700], [900, 700], [700]],
];

function largest(a: Tensor, b: Tensor | null): number {
  return b === null ? Number.NaN : a.to("float64").sub(b.to("float64")).abs().max().item();
}

describe("by a mask", () => {
  test.each(SHAPES)("of shape %j between %j and %j", (maskShape, aShape, bShape) => {
    manualSeed(1);
    const mask = randn(maskShape).gt(0.3);
    const [a, b] = [randn(aShape), randn(bShape)];
    const [a32, b32] = [a.share().requiresGrad_(), b.share().requiresGrad_()];
    const [a64, b64] = [a.to("float64").requiresGrad_(), b.to("float64").requiresGrad_()];
    const chosen = a32.where(mask, b32);
    const expected = a64.where(mask, b64);
    expect(chosen.dtype).toBe("float32");
    expect(largest(chosen, expected)).toBe(0);
    chosen.square().sum().backward();
    expected.square().sum().backward();
    for (const [fast, slow] of [
      [a32, a64],
      [b32, b64],
    ] as const) {
      const scale = slow.grad?.abs().max().item() ?? 0;
      expect(largest(fast.grad ?? fast, slow.grad)).toBeLessThanOrEqual(1e-5 * Math.max(scale, 1));
    }
    const filled = chosen.detach().maskedFill(mask, Number.NEGATIVE_INFINITY);
    expect(largest(filled.exp(), chosen.detach().exp().mul(mask.logicalNot()))).toBeLessThan(1e-5);
  });
});
