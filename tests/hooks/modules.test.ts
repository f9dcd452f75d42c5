// Modules: parameters, state, training mode.

import { describe, expect, test } from "vitest";
import { HookedRootModule, HookPoint, Module, ones, parameter, type Tensor, zeros } from "../../ts/index.ts";
import { code, thrown, values } from "./toy.ts";

class Linear extends Module {
  w: Tensor;
  b = parameter(zeros([2]));
  constant = ones([2]);
  constructor(scale: number) {
    super();
    this.w = parameter(ones([2, 2]).mul(scale));
  }
  forward(x: Tensor): Tensor {
    return x.matmul(this.w).add(this.b);
  }
}

class Net extends HookedRootModule {
  embed = parameter(ones([1, 2]));
  layers = [new Linear(1), new Linear(2)];
  extra = [parameter(zeros([1])), 7];
  tied = this.layers[0];
  alias = this.embed;
  hook = new HookPoint();
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return this.hook.forward(this.layers.reduce((value, layer) => layer.forward(value), x));
  }
}

const NAMES = ["embed", "extra.0", "layers.0.b", "layers.0.w", "layers.1.b", "layers.1.w"];

describe("parameters", () => {
  test("have the paths of their first place, each once; constants are none", () => {
    const net = new Net();
    expect([...net.namedParameters()].map(([name]) => name).sort()).toEqual(NAMES);
    expect([...net.parameters()]).toHaveLength(6);
    expect([...net.parameters()].every((p) => p.requiresGrad && p.isLeaf)).toBe(true);
  });

  test("get gradients", () => {
    const net = new Net();
    net
      .forward(ones([1, 2]))
      .sum()
      .backward();
    expect(net.layers[1]?.b.grad?.toArray()).toEqual([1, 1]);
  });
});

describe("state", () => {
  test("that does not fit is refused whole", () => {
    const net = new Net();
    const state = net.stateDict();
    const before = values(net.forward(ones([1, 2])));
    const without = new Map(state);
    without.delete("layers.0.w");
    expect(thrown(() => net.loadStateDict(without))).toMatchObject({
      code: "weight_mismatch",
      message: expect.stringContaining("'layers.0.w'"),
    });
    expect(code(() => net.loadStateDict({ ...Object.fromEntries(state), more: ones([1]) }))).toBe(
      "weight_mismatch",
    );
    const zeroed = [...state].map(([name, value]) => [name, value.detach().mul(0)] as const);
    const misshapen = new Map([...zeroed, ["layers.1.w", zeros([3, 2])] as const]);
    expect(code(() => net.loadStateDict(misshapen))).toBe("weight_mismatch");
    expect(values(net.forward(ones([1, 2])))).toEqual(before);
    net.loadStateDict({ "layers.1.b": ones([2]), unknown: ones([1]) }, { strict: false });
    expect(values(net.forward(ones([1, 2])))).not.toEqual(before);
  });
});

test("train and eval reach every module", () => {
  const net = new Net();
  expect(net.eval()).toBe(net);
  expect([net.training, net.layers[1]?.training, net.hook.training]).toEqual([false, false, false]);
  net.train();
  expect(net.layers[1]?.training).toBe(true);
});
