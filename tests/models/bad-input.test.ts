// Whatever goes in wrongly comes out as an error with a stable code, and the model works afterwards.

import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { HookedTransformer, type ModelInput, type Tensor, tensor, zeros } from "../../ts/index.ts";
import { code, values } from "../hooks/toy.ts";
import { tinyTokenizer } from "../text/tokenizers.ts";
import { CONFIG, TOKENS } from "./small.ts";

const model = HookedTransformer.fromConfig(CONFIG);
const before = values(model.forward(TOKENS));
const ids = (...shape: number[]) => zeros(shape, { dtype: "int64" });

function disposed(): Tensor {
  const x = ids(1, 2);
  x.dispose();
  return x;
}

/** Calls as untyped JavaScript makes them. */
const untyped = {
  forward: (input: unknown, options?: unknown): unknown =>
    model.forward(input as ModelInput, options as object | undefined),
  hooks: (options: unknown): unknown => model.runWithHooks(TOKENS, options as object),
  cache: (options: unknown): unknown => model.runWithCache(TOKENS, options as object),
  make: (config: unknown, options?: unknown): unknown =>
    HookedTransformer.fromConfig(config as object, options as object | undefined),
};

type Case = readonly [name: string, run: () => unknown, code: string];

afterEach(() => {
  expect([model.listHooks().size, model.contextLevel]).toEqual([0, 0]);
  expect(values(model.forward(TOKENS))).toEqual(before);
});

describe("tokens", () => {
  const { forward } = untyped;
  test.each<Case>([
    ["of rank 3", () => forward(ids(1, 2, 3)), "rank_mismatch"],
    ["of rank 0", () => forward(ids()), "rank_mismatch"],
    ["of floats", () => forward(tensor([[1, 2]])), "wrong_dtype"],
    ["of bools", () => forward(tensor([[true, false]])), "wrong_dtype"],
    ["disposed", () => forward(disposed()), "disposed"],
    ["outside the vocabulary", () => forward([20]), "token_out_of_range"],
    ["far outside", () => forward([2 ** 52]), "token_out_of_range"],
    ["outside, in a tensor", () => forward(tensor([[1, 20]], { dtype: "int64" })), "token_out_of_range"],
    ["negative", () => forward([1, -1]), "token_out_of_range"],
    ["negative, in a tensor", () => forward(tensor([[-1]], { dtype: "int64" })), "token_out_of_range"],
    ["fractional", () => forward([1.5]), "invalid_argument"],
    ["NaN", () => forward([Number.NaN]), "invalid_argument"],
    ["infinite", () => forward([Number.POSITIVE_INFINITY]), "invalid_argument"],
    ["bigints", () => forward([1n]), "invalid_argument"],
    ["text among ids", () => forward([1, "a"]), "invalid_argument"],
    ["null among ids", () => forward([1, null]), "invalid_argument"],
    ["a hole among ids", () => forward(new Array(2)), "invalid_argument"],
    ["none", () => forward([]), "shape_mismatch"],
    ["none in a row", () => forward([[]]), "shape_mismatch"],
    ["none in a tensor", () => forward(ids(1, 0)), "shape_mismatch"],
    ["no rows", () => forward(ids(0, 4)), "shape_mismatch"],
    ["rows of different lengths", () => forward([[1], [1, 2]]), "shape_mismatch"],
    ["more than the context", () => forward(new Array(17).fill(1)), "context_length"],
    ["nothing", () => forward(undefined), "invalid_argument"],
    ["null", () => forward(null), "invalid_argument"],
    ["a number", () => forward(3), "invalid_argument"],
    ["an object", () => forward({ 0: 1 }), "invalid_argument"],
    ["a function", () => forward(() => [1]), "invalid_argument"],
  ])("%s", (_name, run, expected) => expect(code(run)).toBe(expected));

  test("too many for the context say how many there are", () => {
    expect(() => model.forward(new Array(17).fill(1))).toThrow(
      expect.objectContaining({ required: 17, nCtx: 16 }),
    );
  });
});

describe("text", () => {
  let reader: HookedTransformer;
  beforeAll(() => {
    const tokenizer = tinyTokenizer();
    reader = HookedTransformer.fromConfig({ ...CONFIG, d_vocab: tokenizer.size }, { tokenizer });
  });
  const forward = (input: unknown, options: object = {}) => reader.forward(input as string, options);

  test.each<Case>([
    ["without a tokenizer", () => model.forward("text"), "tokenizer_required"],
    ["without a tokenizer, to tokens", () => model.toTokens("text"), "tokenizer_required"],
    ["without a tokenizer, from tokens", () => model.toString([1]), "tokenizer_required"],
    ["without a tokenizer, to one token", () => model.toSingleToken("a"), "tokenizer_required"],
    ["in an empty list", () => forward([]), "shape_mismatch"],
    ["in an empty list, to tokens", () => reader.toTokens([]), "invalid_argument"],
    ["that is empty and has no start", () => forward("", { prependBos: false }), "shape_mismatch"],
    ["several, empty", () => forward(["", ""], { prependBos: false }), "shape_mismatch"],
    ["mixed with ids", () => forward(["a", 1]), "invalid_argument"],
    ["longer than the context", () => forward("the ".repeat(99)), "context_length"],
    ["filled up nowhere", () => forward(["a", "b c"], { paddingSide: "up" }), "invalid_argument"],
    ["with a start that is no flag", () => forward("a", { prependBos: "no" }), "invalid_argument"],
    ["of an id that is none", () => reader.toString([1e6]), "token_out_of_range"],
    ["of a negative id", () => reader.toString([-1]), "token_out_of_range"],
  ])("%s", (_name, run, expected) => expect(code(run)).toBe(expected));

  test("of odd characters is tokenized", () => {
    for (const text of ["\ud800", "\0", "\u{10ffff}", "\r\n"]) {
      expect(reader.forward(text).shape[0]).toBe(1);
    }
  });
});

describe("options", () => {
  const { forward, cache, hooks } = untyped;
  const residual = zeros([1, 4, 8]);
  const from = (input: unknown, options: object = {}) => forward(input, { startAtLayer: 1, ...options });
  test.each<Case>([
    ["null", () => forward(TOKENS, null), "invalid_argument"],
    ["a number", () => forward(TOKENS, 3), "invalid_argument"],
    ["null, of a cache", () => cache(null), "invalid_argument"],
    ["misspelt", () => forward(TOKENS, { returntype: "loss" }), "invalid_argument"],
    ["misspelt, of a cache", () => cache({ nameFilter: /z/ }), "invalid_argument"],
    ["of another call", () => hooks({ namesFilter: /z/ }), "invalid_argument"],
    ["returnType", () => forward(TOKENS, { returnType: "logit" }), "invalid_argument"],
    ["lossPerToken", () => forward(TOKENS, { lossPerToken: "yes" }), "invalid_argument"],
    ["a loss of one token", () => forward([1], { returnType: "loss" }), "invalid_argument"],
    ["stopAtLayer as text", () => forward(TOKENS, { stopAtLayer: "1" }), "invalid_argument"],
    ["stopAtLayer between blocks", () => forward(TOKENS, { stopAtLayer: 0.5 }), "invalid_argument"],
    ["startAtLayer as text", () => from(residual, { startAtLayer: "1" }), "invalid_argument"],
    ["startAtLayer NaN", () => from(residual, { startAtLayer: Number.NaN }), "invalid_argument"],
    ["ids where a residual is needed", () => from([1]), "invalid_argument"],
    ["a residual of another width", () => from(zeros([1, 4, 9])), "shape_mismatch"],
    ["a residual of rank 2", () => from(zeros([4, 8])), "rank_mismatch"],
    ["a residual of integers", () => from(ids(1, 4, 8)), "wrong_dtype"],
    ["an empty residual", () => from(zeros([1, 0, 8])), "shape_mismatch"],
    ["a residual longer than the context", () => from(zeros([1, 17, 8])), "context_length"],
    ["a disposed residual", () => from(disposed()), "disposed"],
    ["a loss without tokens", () => from(residual, { returnType: "loss" }), "invalid_argument"],
    [
      "tokens of another length",
      () => from(residual, { returnType: "loss", tokens: [[1, 2]] }),
      "shape_mismatch",
    ],
    [
      "tokens outside the vocabulary",
      () => from(residual, { returnType: "loss", tokens: [[1, 2, 3, 99]] }),
      "token_out_of_range",
    ],
    ["a mask of another shape", () => forward(TOKENS, { attentionMask: [[1, 1]] }), "shape_mismatch"],
    ["a mask of other numbers", () => forward(TOKENS, { attentionMask: [[1, 2, 1, 1]] }), "invalid_argument"],
    ["a mask of NaN", () => forward(TOKENS, { attentionMask: [[1, Number.NaN, 1, 1]] }), "invalid_argument"],
    [
      "a mask with rows of different lengths",
      () => forward(TOKENS, { attentionMask: [[1, 1, 1, 1], [1]] }),
      "shape_mismatch",
    ],
    ["a mask as text", () => forward(TOKENS, { attentionMask: "1111" }), "invalid_argument"],
    ["a disposed mask", () => forward(TOKENS, { attentionMask: disposed() }), "disposed"],
    ["posSlice outside", () => cache({ posSlice: 9 }), "index_out_of_range"],
    ["dtype of a cache", () => cache({ dtype: "float31" }), "invalid_argument"],
    ["device of a cache", () => cache({ device: "gpu" }), "device_unavailable"],
    ["removeBatchDim", () => cache({ removeBatchDim: "no" }), "invalid_argument"],
    ["inclBwd", () => cache({ inclBwd: 1 }), "invalid_argument"],
    ["returnCacheObject", () => cache({ returnCacheObject: "map" }), "invalid_argument"],
    ["resetHooksEnd", () => hooks({ resetHooksEnd: "no" }), "invalid_argument"],
    ["clearContexts", () => hooks({ clearContexts: 0 }), "invalid_argument"],
  ])("%s", (_name, run, expected) => expect(code(run)).toBe(expected));
});

describe("hooks", () => {
  const at = "blocks.0.hook_resid_pre";
  const { hooks } = untyped;
  const fwd = (hook: unknown) => () => hooks({ fwdHooks: { [at]: hook } });
  const bwd = (hook: (grad: Tensor) => unknown) => () => {
    using _scope = model.hooks({ bwdHooks: { [at]: hook as () => void } });
    model.forward(TOKENS, { returnType: "loss" }).backward();
  };
  test.each<Case>([
    ["giving another shape", fwd((x: Tensor) => x.narrow(1, 0, 2)), "hook_shape"],
    ["giving a scalar", fwd((x: Tensor) => x.sum()), "hook_shape"],
    ["giving another dtype", fwd((x: Tensor) => x.to("float64")), "hook_dtype"],
    ["giving bools", fwd((x: Tensor) => x.gt(0)), "hook_dtype"],
    ["giving a number", fwd(() => 3), "hook_result"],
    ["giving text", fwd(() => "x"), "hook_result"],
    ["giving true", fwd(() => true), "hook_result"],
    ["giving a symbol", fwd(() => Symbol("x")), "hook_result"],
    ["giving an object", fwd(() => ({})), "hook_result"],
    ["giving a list", fwd((x: Tensor) => [x]), "hook_result"],
    ["giving elements", fwd((x: Tensor) => x.toFloat32Array()), "hook_result"],
    ["giving a promise", fwd(async (x: Tensor) => x), "hook_result"],
    ["giving something disposed", fwd(disposed), "disposed"],
    [
      "giving what they disposed",
      fwd((x: Tensor) => {
        x.dispose();
        return x;
      }),
      "disposed",
    ],
    ["giving gradients of another shape", bwd((grad) => grad.sum()), "hook_shape"],
    ["giving gradients of another dtype", bwd((grad) => grad.to("float64")), "hook_dtype"],
    ["giving a promise of a gradient", bwd(async (grad) => grad), "hook_result"],
    ["giving two gradients", bwd((grad) => [grad, grad]), "hook_result"],
    [
      "putting tokens outside the vocabulary",
      () => hooks({ fwdHooks: { hook_tokens: (t: Tensor) => t.add(100) } }),
      "token_out_of_range",
    ],
    ["that are text", () => hooks({ fwdHooks: "hook_embed" }), "invalid_argument"],
    ["that are a number", () => hooks({ fwdHooks: 3 }), "invalid_argument"],
    ["that are a function", () => hooks({ fwdHooks: () => {} }), "invalid_argument"],
    ["that are a map", () => hooks({ fwdHooks: new Map([[at, () => {}]]) }), "invalid_argument"],
    ["without functions", fwd(null), "invalid_argument"],
    ["with text for functions", fwd("zero"), "invalid_argument"],
    ["without hooks for names", () => hooks({ fwdHooks: [[at]] }), "invalid_argument"],
    ["at names that do not exist", () => hooks({ fwdHooks: { hook_embedd: () => {} } }), "unknown_hook"],
    ["at modules", () => hooks({ fwdHooks: { "blocks.0.attn": () => {} } }), "not_a_hook_point"],
  ])("%s", (_name, run, expected) => expect(code(run)).toBe(expected));

  test("that dispose what they see do no harm", () => {
    const out = model.runWithHooks(TOKENS, { fwdHooks: { [at]: (x: Tensor) => x.dispose() } });
    expect(
      out
        .sub(tensor(before as number[][][]))
        .abs()
        .max()
        .item(),
    ).toBeLessThan(1e-6);
  });
});

describe("configurations", () => {
  const { make } = untyped;
  const bad: readonly (readonly [key: string, ...values: unknown[]])[] = [
    ["n_layers", Number.NaN, -1, 0, 1.5, "2", 1e15, Number.POSITIVE_INFINITY, null, [2], 1e6, 2n],
    ["d_model", 1e9, 2 ** 53, -8, 0, {}, Number.NaN],
    ["n_ctx", 1e12, 0, "long"],
    ["n_heads", 0, -2, 1e9],
    ["d_head", 0, 2 ** 40],
    ["d_mlp", -1, 2 ** 45],
    ["d_vocab", 0, 2 ** 33, 2 ** 62],
    ["d_vocab_out", 1e14],
    ["eps", Number.NaN, Number.POSITIVE_INFINITY, -1, "small"],
    ["act_fn", "tanh9", 3],
    ["normalization_type", "XX"],
    ["seed", -1, 1.5, "x"],
    ["initializer_range", Number.NaN, Number.NEGATIVE_INFINITY, -3],
    ["attn_scale", 0, Number.NaN],
    ["attn_scores_soft_cap", Number.NaN],
    ["window_size", -1],
    ["use_local_attn", true],
    ["n_key_value_heads", 3, 0],
    ["positional_embedding_type", "up"],
    ["attention_dir", "up"],
    ["init_mode", "x"],
    ["dtype", "int7"],
    ["attn_types", [() => {}]],
    ["constructor", 1],
    ["nope", 1],
  ];
  for (const [key, ...values] of bad) {
    test(`${key}`, () => {
      for (const value of values) {
        expect(() => make({ ...CONFIG, [key]: value }), String(value)).toThrow(
          expect.objectContaining({ code: "unsupported_config" }),
        );
      }
    });
  }

  test.each<Case>([
    ["of terabytes", () => make({ ...CONFIG, d_vocab: 2 ** 28, d_model: 2 ** 20 }), "memory"],
    [
      "of terabytes in all",
      () => make({ ...CONFIG, n_layers: 4096, d_model: 2 ** 16, d_mlp: 2 ** 18 }),
      "memory",
    ],
    ["without keys", () => make({ n_layers: 2 }), "unsupported_config"],
    ["empty", () => make({}), "unsupported_config"],
    ["lists", () => make([]), "invalid_argument"],
    ["maps", () => make(new Map([["n_layers", 2]])), "invalid_argument"],
    ["text", () => make("gpt2"), "invalid_argument"],
    ["null", () => make(null), "invalid_argument"],
    ["weights of integers", () => make(CONFIG, { dtype: "int64" }), "wrong_dtype"],
    ["weights of a dtype that is none", () => make(CONFIG, { dtype: "f32" }), "wrong_dtype"],
    ["a device that is none", () => make(CONFIG, { device: "tpu" }), "device_unavailable"],
    ["a device that is a number", () => make(CONFIG, { device: 0 }), "invalid_argument"],
    ["a tokenizer that is none", () => make(CONFIG, { tokenizer: {} }), "invalid_argument"],
    ["misspelt options", () => make(CONFIG, { dtyp: "float32" }), "invalid_argument"],
    ["options null", () => make(CONFIG, null), "invalid_argument"],
  ])("%s", (_name, run, expected) => {
    const got = code(run);
    if (expected === "memory") expect(["memory_limit", "unsupported_config"]).toContain(got);
    else expect(got).toBe(expected);
  });

  test("that refer to themselves", () => {
    const config: Record<string, unknown> = { ...CONFIG };
    config["self"] = config;
    expect(code(() => make(config))).toBe("unsupported_config");
  });
});

describe("messages", () => {
  const { forward } = untyped;
  test.each<readonly [name: string, run: () => unknown, message: RegExp]>([
    [
      "a mask of NaN",
      () => forward(TOKENS, { attentionMask: [[1, Number.NaN, 1, 1]] }),
      /^attentionMask: .*got NaN/,
    ],
    [
      "a ragged mask",
      () => forward(TOKENS, { attentionMask: [[1, 1, 1, 1], [1]] }),
      /^attentionMask: .*got 4 and 1/,
    ],
    [
      "an argument of an operation",
      () => zeros([2]).leakyRelu((() => 0.1) as unknown as number),
      /^leaky_relu: an argument must be a number/,
    ],
  ])("%s: what is wrong is called by its name", (_name, run, message) => expect(run).toThrow(message));
});

describe("weights", () => {
  const state = () => model.stateDict();
  const load = (change: (state: Map<string, Tensor>) => void) => () => {
    const changed = state();
    change(changed);
    model.loadStateDict(changed);
  };
  test.each<Case>([
    ["missing", load((s) => s.delete("embed.W_E")), "weight_mismatch"],
    ["superfluous", load((s) => s.set("embed.W_X", zeros([1]))), "weight_mismatch"],
    ["of another shape", load((s) => s.set("embed.W_E", zeros([3, 8]))), "weight_mismatch"],
    ["that are no tensors", load((s) => s.set("embed.W_E", 3 as unknown as Tensor)), "invalid_argument"],
    ["disposed", load((s) => s.set("embed.W_E", disposed())), "disposed"],
    ["of names that do not exist", () => model.parameter("embed.W"), "weight_mismatch"],
  ])("%s", (_name, run, expected) => expect(code(run)).toBe(expected));
});
