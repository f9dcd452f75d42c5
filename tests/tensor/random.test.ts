import { describe, expect, test } from "vitest";
import {
  bernoulli,
  full,
  manualSeed,
  multinomial,
  ones,
  rand,
  randint,
  randn,
  randperm,
  tensor,
} from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

describe("random tensors", () => {
  test("follow from their seed", () => {
    expect(randn([5], { seed: 7 }).toArray()).toEqual(randn([5], { seed: 7 }).toArray());
    expect(randn([5], { seed: 7 }).toArray()).not.toEqual(randn([5], { seed: 8 }).toArray());
    manualSeed(3);
    const [a, b] = [rand([4]).toArray(), rand([4]).toArray()];
    manualSeed(3);
    expect([rand([4]).toArray(), rand([4]).toArray()]).toEqual([a, b]);
    expect(a).not.toEqual(b);
  });

  test("have the distributions that they claim", () => {
    const n = randn([100_000], { seed: 1 });
    expect(n.mean().item()).toBeCloseTo(0, 1);
    expect(n.std().item()).toBeCloseTo(1, 1);
    const u = rand([100_000], { seed: 1 });
    expect([u.min().item() >= 0, u.max().item() < 1]).toEqual([true, true]);
    expect(u.mean().item()).toBeCloseTo(0.5, 1);
    const i = randint(-2, 3, [10_000], { seed: 1 });
    expect(i.dtype).toBe("int64");
    expect(i.unique().values.toArray()).toEqual([-2, -1, 0, 1, 2]);
    expect(randperm(50, { seed: 1 }).sort().values.toArray()).toEqual(
      Array.from({ length: 50 }, (_, k) => k),
    );
    expect(
      bernoulli(full([10_000], 0.25), { seed: 1 })
        .mean()
        .item(),
    ).toBeCloseTo(0.25, 1);
    expect(multinomial(tensor([0, 1, 0]), 4, { replacement: true }).toArray()).toEqual([1, 1, 1, 1]);
  });

  test("take dtypes, and start gradients", () => {
    expect(randn([2], { dtype: "bfloat16" }).dtype).toBe("bfloat16");
    expect(randn([2], { requiresGrad: true }).isLeaf).toBe(true);
    expect(randn([2], { requiresGrad: true }).requiresGrad).toBe(true);
  });

  test("refuse what makes no sense", () => {
    expect(codeOf(() => randint(3, 3, [1]))).toBe("invalid_argument");
    expect(codeOf(() => bernoulli(full([1], 2)))).toBe("invalid_argument");
    expect(codeOf(() => multinomial(ones([3]), 4))).toBe("invalid_argument");
    expect(codeOf(() => randn([1], { dtype: "int64" }))).toMatch(/wrong_dtype|invalid_argument/);
  });
});
