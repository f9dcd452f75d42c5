import { describe, expect, test } from "vitest";
import { enableGrad, grad, isGradEnabled, noGrad, parameter, tensor, tidy } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

const leaf = (data: number[]) => tensor(data, { requiresGrad: true });

describe("backward", () => {
  test("adds up over calls and over several uses of a value", () => {
    const x = leaf([1, 2, 3]);
    x.square().add(x).sum().backward();
    expect(x.grad?.toArray()).toEqual([3, 5, 7]);
    x.sum().backward();
    expect(x.grad?.toArray()).toEqual([4, 6, 8]);
    x.zeroGrad();
    expect(x.grad).toBeNull();
  });

  test("weighs a result of several elements by the gradient given", () => {
    const x = leaf([1, 2]);
    x.mul(3).backward(tensor([10, 100]));
    expect(x.grad?.toArray()).toEqual([30, 300]);
    expect(codeOf(() => x.mul(3).backward())).toBe("autograd");
    expect(codeOf(() => x.mul(3).backward(tensor([1])))).toBe("shape_mismatch");
  });

  test("walks a graph twice only when it was kept", () => {
    const x = leaf([2]);
    const y = x.square();
    y.backward(null, { retainGraph: true });
    y.backward();
    expect(x.grad?.item()).toBe(8);
    expect(codeOf(() => y.backward())).toBe("autograd");
  });

  test("keeps intermediates that asked for it", () => {
    const x = leaf([1, 2]);
    const y = x.mul(2).retainGrad();
    const other = x.mul(2);
    y.mul(other).sum().backward();
    expect(y.grad?.toArray()).toEqual([2, 4]);
    expect(other.grad).toBeNull();
  });

  test("runs through a chain of 100,000 operations", () => {
    const x = leaf([1]);
    tidy(() => {
      let y = x.mul(1);
      for (let i = 0; i < 100_000; i++) {
        const next = y.add(1);
        y.dispose();
        y = next;
      }
      y.backward();
    });
    expect(x.grad?.item()).toBe(1);
  });

  test("grad may be assigned", () => {
    const x = leaf([1, 2]);
    x.grad = tensor([5, 6]);
    x.sum().backward();
    expect(x.grad?.toArray()).toEqual([6, 7]);
    expect(() => {
      x.grad = tensor([1]);
    }).toThrow(/grad/);
  });
});

describe("what requires a gradient", () => {
  test("follows from operands, detach and noGrad", () => {
    const x = leaf([1]);
    expect([x.requiresGrad, x.isLeaf, x.gradFn]).toEqual([true, true, null]);
    const y = x.exp();
    expect([y.requiresGrad, y.isLeaf, y.gradFn]).toEqual([true, false, "exp"]);
    expect(y.detach().requiresGrad).toBe(false);
    expect(noGrad(() => x.exp()).requiresGrad).toBe(false);
    expect(noGrad(() => enableGrad(() => x.exp())).requiresGrad).toBe(true);
    expect(x.gt(0).requiresGrad).toBe(false);
  });

  test("requiresGrad_ changes leaves in place, and only leaves", () => {
    const x = tensor([1, 2]);
    expect(x.requiresGrad_()).toBe(x);
    x.square().sum().backward();
    expect(x.grad?.toArray()).toEqual([2, 4]);
    expect(x.requiresGrad_(false).requiresGrad).toBe(false);
    expect(codeOf(() => leaf([1]).exp().requiresGrad_(false))).toBe("autograd");
    expect(codeOf(() => tensor([1], { dtype: "int64" }).requiresGrad_())).toBe("wrong_dtype");
  });

  test("the switch comes back after a throw and refuses async bodies", async () => {
    expect(() =>
      noGrad(() => {
        throw new RangeError("mine");
      }),
    ).toThrow(RangeError);
    expect(isGradEnabled()).toBe(true);
    expect(codeOf(() => noGrad(async () => 1))).toBe("invalid_argument");
    expect(isGradEnabled()).toBe(true);
  });
});

describe("grad", () => {
  test("gives gradients as values and leaves every tensor's own alone", () => {
    const x = leaf([1, 2]);
    const y = x.square();
    const [dx, dy] = grad(y.mul(3).sum(), [x, y]);
    expect(dx.toArray()).toEqual([6, 12]);
    expect(dy.toArray()).toEqual([3, 3]);
    expect(x.grad).toBeNull();
    expect(y.grad).toBeNull();
  });

  test("an input that the output does not depend on is an error, or null", () => {
    const [x, other] = [leaf([1]), leaf([1])];
    expect(codeOf(() => grad(x.exp(), [other]))).toBe("autograd");
    expect(grad(x.exp(), [other], { allowUnused: true })).toEqual([null]);
    expect(codeOf(() => grad(x.exp(), [tensor([1])]))).toBe("autograd");
    expect(codeOf(() => grad(tensor([1]), [x]))).toBe("autograd");
  });

  test("takes a gradient for outputs of several elements", () => {
    const x = leaf([1, 2]);
    const [dx] = grad(x.square(), [x], { gradient: tensor([1, 10]) });
    expect(dx.toArray()).toEqual([2, 40]);
    expect(codeOf(() => grad(x.square(), [x], { gradient: tensor([1]) }))).toBe("shape_mismatch");
  });
});

describe("parameter", () => {
  test("is a leaf of its own data that can be overwritten", () => {
    const start = tensor([1, 2]);
    const w = parameter(start);
    w.assign_(tensor([3, 4]));
    expect(w.toArray()).toEqual([3, 4]);
    expect(start.toArray()).toEqual([1, 2]);
    expect([w.requiresGrad, w.isLeaf]).toEqual([true, true]);
    expect(codeOf(() => w.assign_(tensor([1])))).toBe("shape_mismatch");
    expect(codeOf(() => start.assign_(tensor([3, 4])))).toBe("invalid_argument");
  });

  test("overwriting between forward and backward is an error, not a wrong gradient", () => {
    const w = parameter(tensor([1, 2]));
    const y = w.square().sum();
    w.assign_(tensor([3, 4]));
    expect(codeOf(() => y.backward())).toBe("autograd");
  });
});
