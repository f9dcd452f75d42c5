// Options that nobody reads are refused: a misspelt one would silently do nothing.

import { describe, expect, test } from "vitest";
import {
  explain,
  HookedTransformer,
  HooklensError,
  HookPoint,
  ones,
  parameter,
  randn,
  SGD,
  tensor,
  zeros,
} from "../../ts/index.ts";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const x = tensor([
  [1, 2],
  [3, 4],
]);

/** A call as JavaScript makes it, which no compiler has checked. */
function call(owner: object, method: string, ...args: readonly unknown[]): () => unknown {
  return () => Reflect.apply(Reflect.get(owner, method), owner, args);
}

function refused(run: () => unknown): HooklensError {
  try {
    run();
  } catch (error) {
    if (error instanceof HooklensError) return error;
    throw error;
  }
  return expect.fail("nothing was thrown");
}

const library = { tensor, zeros, randn, explain };
const noop = () => {};

describe("misspelt options", () => {
  test.each<[string, () => unknown, string | undefined]>([
    ["addHook of a point", call(new HookPoint(), "addHook", noop, { direction: "bwd" }), "dir"],
    ["addHook of a model", call(model, "addHook", "hook_embed", noop, { direction: "bwd" }), "dir"],
    ["hooks", call(model, "hooks", { fwdhooks: {} }), "fwdHooks"],
    ["resetHooks", call(model, "resetHooks", { dir: "bwd" }), "direction"],
    ["listHooks", call(model, "listHooks", { namesFilter: "hook_embed" }), "nameFilter"],
    ["addCachingHooks", call(model, "addCachingHooks", { nameFilter: "hook_embed" }), "namesFilter"],
    ["toTokens", call(model, "toTokens", "And", { prepend_bos: true }), "prependBos"],
    ["tensor", call(library, "tensor", [1], { dType: "int64" }), "dtype"],
    ["zeros", call(library, "zeros", [1], { requires_grad: true }), "requiresGrad"],
    ["randn", call(library, "randn", [1], { sed: 1 }), "seed"],
    ["sum", call(x, "sum", { keepDim: true }), "keepdim"],
    ["crossEntropy", call(x, "crossEntropy", x, { ignore_index: 1 }), "ignoreIndex"],
    ["backward", call(x.requiresGrad_().sum(), "backward", null, { retain_graph: true }), "retainGraph"],
    ["SGD", () => Reflect.construct(SGD, [[parameter(ones([1]))], { moment: 0.9 }]), "momentum"],
    ["explain", call(library, "explain", model, "And", { topk: 3 }), "top"],
    ["forward", call(model, "forward", "And", { stopatLayer: 1 }), "stopAtLayer"],
    ["fromConfig", call(HookedTransformer, "fromConfig", {}, { dType: "float32" }), "dtype"],
    ["one that is near none", call(library, "tensor", [1], { xyzzyplugh: 1 }), undefined],
  ])("%s", (_, run, suggestion) => {
    const error = refused(run);
    expect(error.code).toBe("invalid_argument");
    expect(error.details["suggestion"]).toBe(suggestion);
    if (suggestion !== undefined) expect(error.message).toContain(`did you mean '${suggestion}'?`);
  });

  test.each<[string, () => unknown]>([
    ["a truth value", call(model, "toTokens", "And", true)],
    ["null", call(library, "tensor", [1], null)],
    ["a list", call(library, "zeros", [1], ["int64"])],
    ["a tensor", call(x, "layerNorm", [2], ones([2]))],
  ])("%s is no object of options", (_, run) => {
    expect(refused(run).message).toMatch(/expected an object of options/);
  });
});

describe("explain", () => {
  test.each<[string, object, string]>([
    ["a negative layer", { head: { layer: -1, head: 0 } }, "index_out_of_range"],
    ["a negative head", { head: { layer: 0, head: -1 } }, "index_out_of_range"],
    ["half a layer", { head: { layer: 0.5, head: 0 } }, "invalid_argument"],
    ["no head", { head: { layer: 0 } }, "invalid_argument"],
    ["none to report", { top: 0 }, "invalid_argument"],
    ["half a token", { top: 1.5 }, "invalid_argument"],
  ])("refuses %s", (_, options, expected) => {
    expect(refused(call(library, "explain", model, "And", options)).code).toBe(expected);
  });
});

describe("messages", () => {
  test("name the method that got an object instead of numbers", () => {
    expect(refused(call(x, "clamp", { min: 0 })).message).toMatch(/^clamp: .*min.*object/);
    expect(refused(call(x, "dropout", { p: 0.1 })).message).toMatch(/^dropout: .*\bp\b.*object/);
  });

  test("stay short, whatever came in", () => {
    const long = "x".repeat(1_000_000);
    expect(refused(call(model, "hookPoint", long)).message.length).toBeLessThan(5000);
    expect(refused(call(library, "tensor", [long])).message.length).toBeLessThan(300);
  });

  test("say how many axes a tensor may have", () => {
    expect(refused(() => ones([1]).reshape(new Array(65).fill(1))).message).toMatch(/65 axes.*at most 64/);
    expect(refused(() => ones(new Array(5000).fill(1))).code).toBe("rank_mismatch");
    expect(ones(new Array(64).fill(1)).toArray()).toHaveLength(1);
  });
});
