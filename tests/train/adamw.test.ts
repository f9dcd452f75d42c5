import { describe, expect, test } from "vitest";
import { parameter, type Tensor, tensor } from "../../ts/tensor/index.ts";
import { AdamW } from "../../ts/train/adamw.ts";
import { clipGradients } from "../../ts/train/clip-gradients.ts";
import { warmupCosine } from "../../ts/train/schedule.ts";

/** The published formulas in float64, one element at a time. */
function reference(gradients: readonly number[], start: number, lr: number, decay: number): number {
  let [x, mean, square] = [start, 0, 0];
  for (const [i, g] of gradients.entries()) {
    mean = 0.9 * mean + 0.1 * g;
    square = 0.95 * square + 0.05 * g * g;
    x -= lr * decay * x;
    x -= (lr * (mean / (1 - 0.9 ** (i + 1)))) / (Math.sqrt(square / (1 - 0.95 ** (i + 1))) + 1e-8);
  }
  return x;
}

const gradients = [0.5, -1.25, 3, 0, 0.01];
const options = { lr: 0.1, betas: [0.9, 0.95], weightDecay: 0.1 } as const;

function stepWith(optimizer: AdamW, w: Tensor, gradient: number): void {
  w.grad = tensor([gradient, -2 * gradient]);
  optimizer.step();
  optimizer.zeroGrad();
}

describe("AdamW", () => {
  test("takes the published steps", () => {
    const w = parameter(tensor([1.5, -0.5]));
    const optimizer = new AdamW([["w", w]], options);
    for (const g of gradients) stepWith(optimizer, w, g);
    const [a, b] = w.toFloat32Array();
    expect(a).toBeCloseTo(reference(gradients, 1.5, 0.1, 0.1), 5);
    expect(b).toBeCloseTo(
      reference(
        gradients.map((g) => -2 * g),
        -0.5,
        0.1,
        0.1,
      ),
      5,
    );
  });

  test("goes on from a saved state as if it had not been interrupted", () => {
    const straight = parameter(tensor([1.5, -0.5]));
    const whole = new AdamW([["w", straight]], options);
    for (const g of gradients) stepWith(whole, straight, g);

    const interrupted = parameter(tensor([1.5, -0.5]));
    const first = new AdamW([["w", interrupted]], options);
    for (const g of gradients.slice(0, 2)) stepWith(first, interrupted, g);
    const second = new AdamW([["w", interrupted]], options);
    second.loadStateDict(first.stateDict());
    for (const g of gradients.slice(2)) stepWith(second, interrupted, g);
    expect(interrupted.toFloat32Array()).toEqual(straight.toFloat32Array());
  });

  test("leaves a parameter without a gradient alone, and forgets gradients when told to", () => {
    const w = parameter(tensor([1, 2]));
    const optimizer = new AdamW([["w", w]]);
    optimizer.step();
    expect([...w.toFloat32Array()]).toEqual([1, 2]);
    w.square().sum().backward();
    expect(w.grad).not.toBeNull();
    optimizer.zeroGrad();
    expect(w.grad).toBeNull();
  });

  test("groups have settings of their own", () => {
    const [decayed, free] = [parameter(tensor([1])), parameter(tensor([1]))];
    const optimizer = new AdamW(
      [
        { parameters: [["decayed", decayed]], weightDecay: 0.5 },
        { parameters: [["free", free]], weightDecay: 0 },
      ],
      { lr: 0.1 },
    );
    decayed.grad = tensor([0]);
    free.grad = tensor([0]);
    optimizer.step();
    expect(decayed.item()).toBeCloseTo(0.95, 6);
    expect(free.item()).toBe(1);
  });

  test("learns: least squares reach their solution", () => {
    const w = parameter(tensor([0, 0]));
    const optimizer = new AdamW([["w", w]], { lr: 0.05, weightDecay: 0 });
    const [x, y] = [
      tensor([
        [1, 2],
        [3, -1],
        [0, 1],
      ]),
      tensor([-3, 5, -2]),
    ];
    for (let i = 0; i < 600; i++) {
      x.matmul(w).sub(y).square().mean().backward();
      optimizer.step();
      optimizer.zeroGrad();
    }
    const [a, b] = w.toFloat32Array();
    expect(a).toBeCloseTo(1, 2);
    expect(b).toBeCloseTo(-2, 2);
  });

  test.each([
    ["lr", { lr: -1 }],
    ["lr", { lr: Number.NaN }],
    ["betas", { betas: [1, 0.9] as const }],
    ["eps", { eps: -1 }],
    ["weightDecay", { weightDecay: -0.1 }],
  ])("refuses a bad %s", (name, bad) => {
    const make = () => new AdamW([["w", parameter(tensor([1]))]], bad);
    expect(make).toThrow(
      expect.objectContaining({ code: "invalid_argument", message: expect.stringContaining(name) }),
    );
  });

  test("refuses what is no parameter, a name twice, and nothing at all", () => {
    const w = parameter(tensor([1]));
    expect(() => new AdamW([["x", tensor([1])]])).toThrow("'x' is not a parameter");
    expect(
      () =>
        new AdamW([
          ["w", w],
          ["w", w],
        ]),
    ).toThrow("'w' is there twice");
    expect(() => new AdamW([])).toThrow("no parameters");
  });

  test("refuses a state of other shapes and keeps its own", () => {
    const w = parameter(tensor([1, 2]));
    const optimizer = new AdamW([["w", w]], options);
    stepWith(optimizer, w, 1);
    const other = new AdamW([["w", parameter(tensor([1, 2, 3]))]], options);
    expect(() => other.loadStateDict(optimizer.stateDict())).toThrow(
      expect.objectContaining({ code: "weight_mismatch" }),
    );
    expect(optimizer.stateDict().steps).toEqual({ w: 1 });
  });
});

describe("clipGradients", () => {
  test("scales all gradients by one factor and gives the norm", () => {
    const [a, b] = [parameter(tensor([0, 0])), parameter(tensor([0]))];
    a.grad = tensor([3, 0]);
    b.grad = tensor([4]);
    expect(clipGradients([a, b], 1)).toBeCloseTo(5, 6);
    expect(a.grad?.toFloat32Array()[0]).toBeCloseTo(0.6, 6);
    expect(b.grad?.item()).toBeCloseTo(0.8, 6);
    expect(clipGradients([a, b], 1)).toBeCloseTo(1, 6);
  });

  test("leaves gradients alone whose norm is not finite", () => {
    const w = parameter(tensor([0, 0]));
    w.grad = tensor([Number.POSITIVE_INFINITY, 1]);
    expect(clipGradients([w], 1)).toBe(Number.POSITIVE_INFINITY);
    expect(w.grad?.toFloat32Array()[1]).toBe(1);
  });
});

describe("warmupCosine", () => {
  const schedule = { peak: 2, steps: 110, warmup: 10, floor: 0.1 };

  test("grows linearly, peaks, and falls along half a cosine to the floor", () => {
    expect(warmupCosine(0, schedule)).toBeCloseTo(0.2, 12);
    expect(warmupCosine(9, schedule)).toBeCloseTo(2, 12);
    expect(warmupCosine(10, schedule)).toBeCloseTo(2, 12);
    expect(warmupCosine(60, schedule)).toBeCloseTo(1.1, 12);
    expect(warmupCosine(110, schedule)).toBeCloseTo(0.2, 12);
    expect(warmupCosine(1000, schedule)).toBeCloseTo(0.2, 12);
  });

  test("refuses a warm-up longer than the run", () => {
    expect(() => warmupCosine(0, { peak: 1, steps: 5, warmup: 5 })).toThrow("warmup");
  });
});
