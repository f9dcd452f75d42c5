import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  add,
  HookedTransformer,
  HooklensError,
  type InterventionSpec,
  randn,
  scale,
  setLogger,
  slice,
  type Tensor,
  tensor,
  UnknownHookError,
  zero,
} from "../../ts/index.ts";
import { type EngineWorker, moduleHook, RemoteTensor, type RemoteTransformer } from "../../ts/worker-node.ts";
import { start } from "./start.ts";

const HOOKS = new URL("hooks.mjs", import.meta.url);
const PROMPT = "In the beginning God created the heaven";

let worker: EngineWorker;
let remote: RemoteTransformer;
let local: HookedTransformer;
beforeAll(async () => {
  setLogger({ warn: () => undefined });
  worker = await start();
  [remote, local] = await Promise.all([
    worker.HookedTransformer.fromPretrained("builtin:tiny"),
    HookedTransformer.fromPretrained("builtin:tiny"),
  ]);
}, 60_000);
afterAll(() => worker.dispose());

/** Elements of a tensor that the worker holds, which is freed. */
async function elements(given: RemoteTensor): Promise<ArrayLike<number | bigint>> {
  using held = given;
  return held.toTypedArray();
}

async function same(got: RemoteTensor, expected: Tensor): Promise<void> {
  expect(got.shape).toEqual(expected.shape);
  expect(got.axes).toEqual(expected.axes);
  expect(got.dtype).toBe(expected.dtype);
  expect(await elements(got)).toEqual(expected.toTypedArray());
}

describe("a model in a worker", () => {
  test("knows its configuration, its points and whether it reads text", () => {
    expect(remote.cfg).toEqual(local.cfg);
    expect(remote.hookNames).toEqual([...local.hookDict.keys()]);
    expect(remote.hasTokenizer).toBe(true);
  });

  test("gives what the same model here gives", async () => {
    await same(await remote.forward(PROMPT), local.forward(PROMPT));
    await same(await remote.forward([[1, 2, 3]]), local.forward([[1, 2, 3]]));
    const both = await remote.forward(PROMPT, { returnType: "both" });
    const expected = local.forward(PROMPT, { returnType: "both" });
    await same(both.logits, expected.logits);
    await same(both.loss, expected.loss);
    expect(await remote.forward(PROMPT, { returnType: null })).toBeNull();
    const residual = await remote.forward(PROMPT, { stopAtLayer: 1 });
    await same(await remote.forward(residual, { startAtLayer: 1 }), local.forward(PROMPT));
    residual.dispose();
  });

  test("takes tensors of this thread", async () => {
    const tokens = local.toTokens(PROMPT);
    await same(await remote.forward(tokens), local.forward(tokens));
    expect(tokens.isDisposed).toBe(false);
    expect(tokens.toTypedArray()).toEqual(local.toTokens(PROMPT).toTypedArray());
  });

  test("reads and writes text", async () => {
    await same(await remote.toTokens([PROMPT, "And"]), local.toTokens([PROMPT, "And"]));
    expect(await remote.toStrTokens(PROMPT)).toEqual(local.toStrTokens(PROMPT));
    const token = local.toStrTokens(PROMPT)[2] ?? "";
    expect(await remote.toSingleToken(token)).toBe(local.toSingleToken(token));
    expect(await remote.decode([1, 2, 3])).toBe(local.toString([1, 2, 3]));
    expect(await remote.getTokenPosition(token, PROMPT)).toBe(local.getTokenPosition(token, PROMPT));
    await expect(remote.toSingleToken(PROMPT)).rejects.toMatchObject({ code: "not_single_token" });
  });

  test("generates the same text, at once and as it goes", async () => {
    const options = { maxNewTokens: 8, seed: 3 };
    const expected = await local.generate(PROMPT, options);
    expect(await remote.generate(PROMPT, options)).toBe(expected);
    const ids = await remote.generate(PROMPT, { ...options, returnType: "tokens" });
    await same(ids, await local.generate(PROMPT, { ...options, returnType: "tokens" }));
    let text = PROMPT;
    const steps: number[] = [];
    for await (const step of remote.generateStream(PROMPT, options)) {
      text += step.text[0];
      steps.push(step.step);
    }
    expect(text).toBe(expected);
    expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("streams end with their loop", async () => {
    const before = (await worker.info()).held;
    for await (const step of remote.generateStream(PROMPT, { maxNewTokens: 50 })) if (step.step === 2) break;
    expect((await worker.info()).held).toBe(before);
  });
});

describe("caches", () => {
  test("hold what a cache here holds, under long and short names", async () => {
    const [logits, cache] = await remote.runWithCache(PROMPT);
    const [, expected] = local.runWithCache(PROMPT);
    logits.dispose();
    expect(cache.keys()).toEqual([...expected.keys()]);
    expect(cache.byteSize).toBe(expected.byteSize);
    for (const key of cache.keys()) await same(await cache.get(key), expected.get(key));
    await same(await cache.get(["pattern", -1]), expected.get(["pattern", -1]));
    await same(await cache.get("resid_post0"), expected.get("resid_post0"));
    await expect(cache.get("blocks.0.attn.hook_result")).rejects.toMatchObject({ code: "not_cached" });
    cache.dispose();
    await expect(cache.get("hook_embed")).rejects.toMatchObject({ code: "disposed" });
  });

  test("take filters, positions and dtypes as data", async () => {
    const options = {
      namesFilter: ["blocks.*.attn.hook_pattern" as const, /hook_resid_post$/],
      posSlice: slice(-2),
      dtype: "float16" as const,
      removeBatchDim: true,
    };
    const [logits, cache] = await remote.runWithCache(PROMPT, options);
    const [, expected] = local.runWithCache(PROMPT, options);
    logits.dispose();
    expect(cache.keys()).toEqual([...expected.keys()]);
    for (const key of cache.keys()) {
      using got = await cache.get(key);
      expect(got.dtype).toBe("float16");
      expect(await got.toTypedArray()).toEqual(expected.get(key).toTypedArray());
    }
    cache.dispose();
  });

  test("hold gradients", async () => {
    const [loss, cache] = await remote.runWithCache(PROMPT, { returnType: "loss", inclBwd: true });
    const [, expected] = local.runWithCache(PROMPT, { returnType: "loss", inclBwd: true });
    loss.dispose();
    await same(await cache.get("blocks.0.hook_resid_pre_grad"), expected.get("blocks.0.hook_resid_pre_grad"));
    cache.dispose();
  });
});

describe("hooks", () => {
  const point = "blocks.1.attn.hook_z";

  test("are edits, as objects or as data, with tensors of here or there", async () => {
    const z = local.runWithCache(PROMPT)[1].get(point);
    const by = randn([z.shape[3] ?? 0]);
    const there = await worker.tensor(by.toTypedArray() as Float32Array, { shape: by.shape });
    const spec: InterventionSpec = { kind: "zero", at: { head: 1 } };
    const added = add(by).toJSON();
    for (const [given, meant] of [
      [zero().at({ head: 1 }), zero().at({ head: 1 })],
      [spec, zero().at({ head: 1 })],
      [
        [scale(2), scale(3).at({ pos: -1 })],
        [scale(2), scale(3).at({ pos: -1 })],
      ],
      [add(by), add(by)],
      [{ ...added, tensors: [there] }, add(by)],
      [{ ...added, tensors: [by] }, add(by)],
    ] as const) {
      await same(
        await remote.runWithHooks(PROMPT, { fwdHooks: { [point]: given } }),
        local.runWithHooks(PROMPT, { fwdHooks: { [point]: meant } }),
      );
    }
    there.dispose();
  });

  test("are functions of a module, with an argument of here or there", async () => {
    const silenced = (head: number) =>
      local.runWithHooks(PROMPT, { fwdHooks: { [point]: (z: Tensor) => z.at({ head }).fill(0) } });
    await same(
      await remote.runWithHooks(PROMPT, { fwdHooks: [[/1\.attn\.hook_z$/, moduleHook(HOOKS)]] }),
      silenced(0),
    );
    await same(
      await remote.runWithHooks(PROMPT, {
        fwdHooks: { [point]: moduleHook(HOOKS, { argument: { head: 2 } }) },
      }),
      silenced(2),
    );
    using by = await worker.tensor(Float32Array.of(2));
    await same(
      await remote.runWithHooks(PROMPT, {
        fwdHooks: { [point]: moduleHook(HOOKS, { export: "plus", argument: { by } }) },
      }),
      local.runWithHooks(PROMPT, { fwdHooks: { [point]: (z: Tensor) => z.add(2) } }),
    );
    await same(
      await remote.runWithHooks(PROMPT, { fwdHooks: { [point]: moduleHook(HOOKS, { export: "replaced" }) } }),
      local.runWithHooks(PROMPT, { fwdHooks: { [point]: zero() } }),
    );
  });

  test("stay until their scope is disposed", async () => {
    const expected = local.runWithHooks(PROMPT, { fwdHooks: { [point]: zero() } });
    {
      using scope = await remote.hooks({ fwdHooks: { [point]: zero() } });
      expect(scope.isDisposed).toBe(false);
      await same(await remote.forward(PROMPT), expected);
    }
    await same(await remote.forward(PROMPT), local.forward(PROMPT));
  });

  test("of one call are not seen by another beside it", async () => {
    const [edited, plain] = await Promise.all([
      remote.runWithHooks(PROMPT, { fwdHooks: { [point]: zero() } }),
      remote.forward(PROMPT),
    ]);
    await same(edited, local.runWithHooks(PROMPT, { fwdHooks: { [point]: zero() } }));
    await same(plain, local.forward(PROMPT));
  });

  test("that throw end the call with their error", async () => {
    const hook = moduleHook(HOOKS, { export: "throwing" });
    await expect(remote.runWithHooks(PROMPT, { fwdHooks: { [point]: hook } })).rejects.toMatchObject({
      name: "RangeError",
      message: "thrown in the worker",
    });
    await same(await remote.forward(PROMPT), local.forward(PROMPT));
  });

  test.each([
    ["a function", () => ({ [point]: ((z: unknown) => z) as never }), /cannot be sent.*moduleHook/],
    [
      "a module that is not there",
      () => ({ [point]: moduleHook("file:///nowhere.mjs") }),
      /cannot import file/,
    ],
    [
      "an export that is none",
      () => ({ [point]: moduleHook(HOOKS, { export: "nil" }) }),
      /no function 'nil'; .*plus/,
    ],
    [
      "an export that is no function",
      () => ({ [point]: moduleHook(HOOKS, { export: "answer" }) }),
      /no function/,
    ],
    [
      "what cannot be cloned",
      () => ({ [point]: moduleHook(HOOKS, { argument: new WeakMap() }) }),
      /cannot be sent/,
    ],
  ])("that are %s are refused", async (_, fwdHooks, why) => {
    const failed = remote.runWithHooks(PROMPT, { fwdHooks: fwdHooks() });
    await expect(failed).rejects.toBeInstanceOf(HooklensError);
    await expect(failed).rejects.toThrow(why);
  });

  test("on names that do not exist are refused as here", async () => {
    const failed = remote.runWithHooks(PROMPT, { fwdHooks: { "blocks.1.attn.hook_zz": zero() } as object });
    await expect(failed).rejects.toBeInstanceOf(UnknownHookError);
    await expect(failed).rejects.toMatchObject({ hook: "blocks.1.attn.hook_zz" });
    await failed.catch((error: UnknownHookError) => expect(error.suggestions).toContain(point));
  });
});

describe("what runs in the worker", () => {
  test("functions of a module, on what the worker holds", async () => {
    const x = randn([3, 4]).named("pos", "d_model");
    const there = await worker.tensor(x.toTypedArray() as Float32Array, {
      shape: [3, 4],
      axes: ["pos", "d_model"],
    });
    const norms = await worker.run(HOOKS, { export: "norms", argument: { x: there } });
    if (!(norms instanceof RemoteTensor)) throw new Error("expected a tensor");
    await same(norms, x.square().sum("d_model").sqrt());
    expect(await worker.run(moduleHook(HOOKS, { export: "later", argument: [1, 2, 3] }))).toEqual({
      sum: 6,
      list: [1, 2],
    });
  });

  test("data for functions are not taken for edits, whatever their keys are called", async () => {
    const argument = { kind: "zero", tensors: [1], nested: [{ kind: "mine" }] };
    expect(await worker.run(HOOKS, { export: "given", argument })).toEqual(argument);
    using x = tensor([1, 2]);
    const mixed = await worker.run(HOOKS, { export: "given", argument: [3, x] });
    const [three, back] = mixed as [number, RemoteTensor];
    expect(three).toBe(3);
    expect(await elements(back)).toEqual(Float32Array.of(1, 2));
  });

  test("what a function gives back twice is freed with the last of its handles", async () => {
    using made = await worker.tensor(Float32Array.of(1, 2));
    const again = await worker.run(HOOKS, { export: "given", argument: made });
    if (!(again instanceof RemoteTensor)) throw new Error("expected a tensor");
    again.dispose();
    expect(await made.toArray()).toEqual([1, 2]);
    const second = (await worker.run(HOOKS, { export: "given", argument: remote })) as RemoteTransformer;
    second.dispose();
    await same(await remote.forward(PROMPT), local.forward(PROMPT));
  });

  test("the tensors of hooks go when the hooks are detached", async () => {
    await worker.run(HOOKS, { export: "collect" });
    const before = await worker.info();
    using by = randn([1, 1, local.cfg.d_model]);
    const scope = await remote.hooks({ fwdHooks: { "blocks.0.hook_resid_pre": add(by) } });
    expect((await worker.info()).tensors).toBeGreaterThan(before.tensors);
    scope.dispose();
    expect((await worker.info()).tensors).toBeLessThanOrEqual(before.tensors);
  });

  test("tensors take the buffer of their elements", async () => {
    const data = Float32Array.of(1, 2, 3, 4);
    using made = await worker.tensor(data, { shape: [2, 2] });
    expect(data.length).toBe(0);
    expect(await made.toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    const part = new Float32Array(8).subarray(2, 4);
    using own = await worker.tensor(part);
    expect(part.length).toBe(2);
    expect(own.shape).toEqual([2]);
    using halves = await worker.tensor(Uint16Array.of(0x3c00), { dtype: "float16" });
    expect(await halves.item()).toBe(1);
    await expect(worker.tensor(Uint16Array.of(1))).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(worker.tensor(Float32Array.of(1), { shape: [2] })).rejects.toMatchObject({
      code: "element_count",
    });
  });

  test("is told apart from another worker's", async () => {
    using other = await start();
    using foreign = await other.tensor(Float32Array.of(1, 2));
    await expect(remote.forward(foreign)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/another worker's/),
    });
  });

  test("elements come as numbers too", async () => {
    using made = await worker.tensor(BigInt64Array.of(1n, 2n));
    expect(await made.toTypedArray()).toEqual(BigInt64Array.of(1n, 2n));
    expect(await made.toFloat32Array()).toEqual(Float32Array.of(1, 2));
    await expect(made.item()).rejects.toMatchObject({ code: "scalar_required" });
    expect(tensor([1, 2]).toArray()).toEqual(await made.toArray());
  });
});
