import { describe, expect, test } from "vitest";
import { Adam, memory, parameter, SGD, type SGDOptions, tensor } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

const gradients = [0.5, -1.25, 3, 0, 0.01];

/** The published formula in float64. */
function descend(
  start: number,
  { lr = 1e-3, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false }: SGDOptions,
) {
  let [x, direction] = [start, 0];
  for (const [i, given] of gradients.entries()) {
    const g = given + weightDecay * x;
    direction = i === 0 ? g : momentum * direction + (1 - dampening) * g;
    x -= lr * (momentum === 0 ? g : nesterov ? g + momentum * direction : direction);
  }
  return x;
}

describe("SGD", () => {
  test.each<SGDOptions>([
    { lr: 0.1 },
    { lr: 0.1, weightDecay: 0.3 },
    { lr: 0.1, momentum: 0.9 },
    { lr: 0.1, momentum: 0.9, dampening: 0.5, weightDecay: 0.1 },
    { lr: 0.1, momentum: 0.9, nesterov: true },
  ])("takes the published steps with %j", (options) => {
    const w = parameter(tensor([1.5]));
    const optimizer = new SGD([w], options);
    for (const g of gradients) {
      w.grad = tensor([g]);
      optimizer.step();
    }
    expect(w.item()).toBeCloseTo(descend(1.5, options), 5);
  });

  test("refuses settings that make no sense", () => {
    const make = (options: SGDOptions) => () => new SGD([parameter(tensor([1]))], options);
    expect(codeOf(make({ lr: -1 }))).toBe("invalid_argument");
    expect(codeOf(make({ momentum: Number.NaN }))).toBe("invalid_argument");
    expect(codeOf(make({ nesterov: true }))).toBe("invalid_argument");
    expect(codeOf(make({ nesterov: true, momentum: 0.9, dampening: 0.1 }))).toBe("invalid_argument");
  });

  test("goes on from a saved state, and frees its own when told to", () => {
    const options = { lr: 0.1, momentum: 0.9 };
    const [whole, halves] = [parameter(tensor([1, 2])), parameter(tensor([1, 2]))];
    const one = new SGD([["w", whole]], options);
    let two = new SGD([["w", halves]], options);
    for (const [i, g] of gradients.entries()) {
      if (i === 2) {
        const next = new SGD([["w", halves]], options);
        next.loadStateDict(two.stateDict());
        two.dispose();
        two = next;
      }
      for (const [w, optimizer] of [
        [whole, one],
        [halves, two],
      ] as const) {
        w.grad = tensor([g, -g]);
        optimizer.step();
      }
    }
    expect(halves.toFloat32Array()).toEqual(whole.toFloat32Array());
    expect(codeOf(() => one.loadStateDict({ tensors: new Map(), steps: { w: 1 } }))).toBe("weight_mismatch");
    expect(codeOf(() => one.loadStateDict({ tensors: new Map(), steps: { x: 1 } }))).toBe("weight_mismatch");
    expect(one.stateDict().steps).toEqual({ w: 5 });
  });
});

describe("Adam", () => {
  test("adds weight decay to the gradient", () => {
    const w = parameter(tensor([2]));
    const optimizer = new Adam([w], { lr: 0.1, weightDecay: 0.5 });
    w.grad = tensor([0]);
    optimizer.step();
    // The first step of Adam is the learning rate against the sign of the gradient, here that of the decay alone.
    expect(w.item()).toBeCloseTo(1.9, 5);
  });

  test("holds two tensors a parameter, whatever the number of steps", () => {
    const w = parameter(tensor([2]));
    w.grad = tensor([1]);
    using optimizer = new Adam([w]);
    optimizer.step();
    const before = memory().tensors;
    for (let i = 0; i < 50; i++) optimizer.step();
    expect(memory().tensors).toBeLessThanOrEqual(before);
  });
});

test("a parameter that is there twice is refused, named or not", () => {
  const p = parameter(tensor([1]));
  expect(codeOf(() => new SGD([p, p], { lr: 0.1 }))).toBe("invalid_argument");
  const once = ["a", p] as const;
  expect(codeOf(() => new SGD([once, ["b", p] as const], { lr: 0.1 }))).toBe("invalid_argument");
});
