// The parts of a transformer: hook points and weights where users of the reference look for them.

import { describe, expect, test } from "vitest";
import {
  HookedRootModule,
  HookedTransformer,
  HookPoint,
  type Module,
  SGD,
  type Tensor,
  type TransformerConfig,
} from "../../ts/index.ts";
import { code, thrown, values } from "../hooks/toy.ts";
import { CONFIG, TOKENS } from "./small.ts";

const KINDS: Readonly<Record<string, Partial<TransformerConfig>>> = {
  usual: {},
  "without MLPs": { attn_only: true },
  "with norms without weights": { normalization_type: "LNPre" },
  "without norms": { normalization_type: null },
  "rotary, gated, RMS, grouped": {
    positional_embedding_type: "rotary",
    gated_mlp: true,
    act_fn: "silu",
    normalization_type: "RMS",
    n_heads: 4,
    n_key_value_heads: 2,
    d_head: 4,
  },
  shortformer: { positional_embedding_type: "shortformer" },
  "with norms in its MLPs": { act_fn: "solu_ln" },
  parallel: { parallel_attn_mlp: true },
};

function make(kind: Partial<TransformerConfig>): HookedTransformer {
  return HookedTransformer.fromConfig({ ...CONFIG, ...kind } as Partial<TransformerConfig>);
}

/** What a dotted name leads to in the tree. */
function follow(root: object, name: string): unknown {
  return name.split(".").reduce<unknown>((at, key) => Reflect.get(at as object, key), root);
}

describe.each(Object.entries(KINDS))("a model %s", (_, kind) => {
  const model = make(kind);

  test("has every hook point and every weight in its tree", () => {
    for (const [name, point] of model.hookDict) expect(follow(model, name)).toBe(point);
    for (const [name, weight] of model.namedParameters()) {
      expect(values(follow(model, name) as Tensor)).toEqual(values(weight));
    }
  });

  test("has the same modules by name, and no others", () => {
    for (const [name, module] of model.modDict) {
      expect(follow(model, name)).toBe(module);
      expect(module.name).toBe(name);
    }
    const named = [...model.namedModules()].map(([name]) => name);
    expect(named).toEqual([...model.modDict.keys()]);
    expect(named).toEqual(expect.arrayContaining(["embed", "blocks.1", "blocks.1.attn", "unembed"]));
    expect([...model.blocks[1].namedModules()].map(([name]) => `blocks.1.${name}`).sort()).toEqual(
      named.filter((name) => name.startsWith("blocks.1.")).sort(),
    );
  });

  test("gives the parameters of a part under its own names", () => {
    const whole = [...model.namedParameters()].map(([name]) => name);
    const block = [...model.blocks[0].namedParameters()].map(([name]) => `blocks.0.${name}`);
    expect(block.sort()).toEqual(whole.filter((name) => name.startsWith("blocks.0.")).sort());
  });
});

describe("what a model lacks", () => {
  const lacks = (kind: Partial<TransformerConfig>, name: string) =>
    expect(thrown(() => follow(make(kind), name))).toMatchObject({ code: "not_supported_on_this_model" });

  test("is an error that says so, and no undefined", () => {
    lacks({ attn_only: true }, "blocks.0.mlp");
    lacks({ attn_only: true }, "blocks.1.ln2");
    lacks({ attn_only: true }, "blocks.1.hook_mlp_out");
    lacks({ normalization_type: null }, "ln_final");
    lacks({ normalization_type: null }, "blocks.0.ln1");
    lacks({ normalization_type: "LNPre" }, "blocks.0.ln1.w");
    lacks({ normalization_type: "RMS" }, "ln_final.b");
    lacks({ positional_embedding_type: "rotary" }, "pos_embed");
    lacks({ positional_embedding_type: "rotary" }, "hook_pos_embed");
    lacks({}, "blocks.0.attn.hook_rot_q");
    lacks({}, "blocks.0.mlp.ln");
    expect(() => make({ normalization_type: "RMSPre" }).ln_final.w).toThrow(/ln_final\.w: .*'RMSPre'/);
    expect(make({}).blocks[0].mlp.W_gate).toBeNull();
    expect(make({ gated_mlp: true }).blocks[0].mlp.W_gate?.shape).toEqual([8, 16]);
  });

  test("so are blocks beyond the last", () => {
    const model = make({});
    expect(code(() => model.blocks[2])).toBe("index_out_of_range");
    expect(code(() => model.block(2))).toBe("index_out_of_range");
    expect(code(() => model.block(-3))).toBe("index_out_of_range");
    expect(code(() => model.block(0.5))).toBe("index_out_of_range");
    expect(model.block(-1)).toBe(model.blocks[1]);
    expect([model.blocks.length, [...model.blocks].length, model.blocks.at(5)]).toEqual([2, 2, undefined]);
    expect(model.blocks.map(({ name }) => name)).toEqual(["blocks.0", "blocks.1"]);
    expect(Array.isArray(model.blocks)).toBe(true);
  });
});

describe("grouped keys and values", () => {
  const model = make(KINDS["rotary, gated, RMS, grouped"] ?? {});
  const { attn } = model.blocks[1];

  test("are there as stored and repeated for every head", () => {
    expect([attn._W_K.shape, attn.W_K.shape, attn._b_V.shape, attn.b_V.shape]).toEqual([
      [2, 8, 4],
      [4, 8, 4],
      [2, 4],
      [4, 4],
    ]);
    for (const head of [0, 1, 2, 3]) {
      expect(values(attn.W_V.get(head))).toEqual(values(attn._W_V.get(Math.floor(head / 2))));
    }
    expect(values(model.W_K.get(1))).toEqual(values(attn.W_K));
    expect(values(make({}).blocks[0].attn._W_K)).toEqual(values(make({}).blocks[0].attn.W_K));
  });

  test("pass gradients of the repeated ones to the stored ones", () => {
    const own = make(KINDS["rotary, gated, RMS, grouped"] ?? {}).setTrainable(true);
    own.blocks[0].attn.W_K.sum().backward();
    expect(values(own.blocks[0].attn._W_K.grad ?? own.W_U)).toEqual(
      Array.from({ length: 2 }, () => Array.from({ length: 8 }, () => [2, 2, 2, 2])),
    );
  });
});

test("hooks are set through the tree", () => {
  const model = make({});
  const plain = values(model.forward(TOKENS));
  const handle = model.blocks[0].attn.hook_z.addHook((z) => z.at({ head: 1 }).fill(0));
  const silenced = values(model.forward(TOKENS));
  expect(silenced).not.toEqual(plain);
  expect(
    values(
      model.runWithHooks(TOKENS, { fwdHooks: { "blocks.0.attn.hook_z": (z) => z.at({ head: 1 }).fill(0) } }),
    ),
  ).toEqual(silenced);
  handle.remove();
  expect(values(model.forward(TOKENS))).toEqual(plain);
  const [, cache] = model.runWithCache(TOKENS, { namesFilter: [model.hook_embed, model.unembed.hook_out] });
  expect([...cache.keys()]).toEqual(["hook_embed", "unembed.hook_out"]);
});

test("names of parts that are short names of points still mean the points in filters", () => {
  const model = make({});
  const keys = (namesFilter: string) => [
    ...model.runWithCache(TOKENS, { namesFilter: namesFilter as "hook_embed" })[1].keys(),
  ];
  expect(keys("embed")).toEqual(["hook_embed"]);
  expect(keys("pos_embed")).toEqual(["hook_pos_embed"]);
  expect(code(() => keys("unembed"))).toBe("not_a_hook_point");
  expect(code(() => keys("blocks.0.attn"))).toBe("not_a_hook_point");
});

test("a trained model's weights are the leaves, wherever they are taken from", () => {
  const model = make({}).setTrainable(true);
  const { mlp } = model.blocks[1];
  expect([mlp.W_in.isLeaf, mlp.W_in.requiresGrad]).toEqual([true, true]);
  model.forward(TOKENS, { returnType: "loss" }).backward();
  expect(values(mlp.W_in.grad ?? mlp.W_in)).toEqual(
    values(model.parameter("blocks.1.mlp.W_in").grad ?? mlp.W_in),
  );
  expect(mlp.W_in.grad?.abs().sum().item()).toBeGreaterThan(0);
  const before = values(model.blocks[0].attn.W_Q);
  new SGD(model.blocks[1].parameters(), { lr: 0.1 }).step();
  expect(values(model.blocks[0].attn.W_Q)).toEqual(before);
  model.setTrainable(false);
  expect(mlp.W_in.requiresGrad).toBe(false);
});

describe("in a module of one's own", () => {
  test("a whole model keeps its points", () => {
    const inner = make({});
    class Outer extends HookedRootModule {
      inner = inner;
      hook_out = new HookPoint();
      constructor() {
        super();
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return this.hook_out.forward(this.inner.forward(x));
      }
    }
    const outer = new Outer();
    expect([...outer.hookDict.keys()]).toEqual(["hook_out"]);
    let fired = 0;
    inner.hook_embed.addHook(() => void fired++);
    outer.forward(inner.forward(TOKENS, { returnType: null }) ?? (TOKENS as never));
    expect(fired).toBe(2);
  });

  test("a part of one is refused", () => {
    const model = make({});
    class Thief extends HookedRootModule {
      part: Module = model.blocks[0].attn;
      constructor() {
        super();
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(code(() => new Thief())).toBe("invalid_argument");
    expect(model.blocks[0].attn.hook_z.name).toBe("blocks.0.attn.hook_z");
    expect(model.runWithCache(TOKENS)[1].has("z0")).toBe(true);
  });
});

describe("accumulatedBias", () => {
  const model = HookedTransformer.fromConfig({ ...CONFIG, n_layers: 3 });
  const state = new Map([...model.namedParameters()].map(([name, weight]) => [name, weight.add(0.5).mul(2)]));
  model.loadStateDict(state);
  const sum = (...names: string[]) =>
    values(names.reduce((total, name) => total.add(model.parameter(name)), model.blocks[0].attn.b_O.mul(0)));

  test("adds up what blocks write beside heads and neurons", () => {
    const b_O = (layer: number) => `blocks.${layer}.attn.b_O`;
    const b_out = (layer: number) => `blocks.${layer}.mlp.b_out`;
    expect(values(model.accumulatedBias(0))).toEqual(sum());
    expect(values(model.accumulatedBias(2))).toEqual(sum(b_O(0), b_out(0), b_O(1), b_out(1)));
    expect(values(model.accumulatedBias(-1))).toEqual(values(model.accumulatedBias(2)));
    expect(values(model.accumulatedBias(2, { includeMlpBiases: false }))).toEqual(sum(b_O(0), b_O(1)));
    expect(values(model.accumulatedBias(1, { mlpInput: true }))).toEqual(sum(b_O(0), b_out(0), b_O(1)));
    expect(model.accumulatedBias(3).shape).toEqual([8]);
    expect(values(make({ attn_only: true }).accumulatedBias(2))).toEqual(Array(8).fill(0));
  });

  test("refuses layers that there are not", () => {
    expect(code(() => model.accumulatedBias(3, { mlpInput: true }))).toBe("index_out_of_range");
    for (const layer of [4, -4, 0.5, Number.NaN]) {
      expect(code(() => model.accumulatedBias(layer))).toBe("index_out_of_range");
    }
    expect(code(() => model.accumulatedBias(0, { mlp: true } as never))).toBe("invalid_argument");
  });
});

test("heads have labels", () => {
  expect(make({}).allHeadLabels()).toEqual(["L0H0", "L0H1", "L1H0", "L1H1"]);
});
