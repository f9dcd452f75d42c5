// Forwards that leave the thread to others between blocks.

import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { HookedTransformer, noGrad, type Progress, type Tensor } from "../../ts/index.ts";
import { values } from "../hooks/toy.ts";
import { CONFIG, TOKENS } from "./small.ts";

const model = HookedTransformer.fromConfig({ ...CONFIG, n_layers: 4 });

describe("forwardAsync", () => {
  test("gives what forward gives", async () => {
    expect(values(await model.forwardAsync(TOKENS))).toEqual(values(model.forward(TOKENS)));
    const both = await model.forwardAsync(TOKENS, { returnType: "both" });
    expect(both.loss.item()).toBe(model.forward(TOKENS, { returnType: "loss" }).item());
    expect(await model.forwardAsync(TOKENS, { returnType: null })).toBeNull();
    for (const stopAtLayer of [0, 2, -1, 4, 9]) {
      const options = { stopAtLayer };
      expect(values(await model.forwardAsync(TOKENS, options))).toEqual(
        values(model.forward(TOKENS, options)),
      );
    }
    const residual = model.forward(TOKENS, { stopAtLayer: 1 });
    const resumed = await model.forwardAsync(residual, { startAtLayer: 1 });
    expect(resumed.sub(model.forward(TOKENS)).abs().max().item()).toBeLessThan(1e-6);
  });

  test("lets others work between blocks, and tells how far it is", async () => {
    const log: (string | Progress)[] = [];
    const run = model.forwardAsync(TOKENS, { onProgress: (progress) => log.push(progress) });
    for (let i = 0; i < 4; i++) {
      await turn();
      log.push("other work");
    }
    await run;
    const steps = log.filter((entry) => typeof entry === "object");
    expect(steps).toEqual([1, 2, 3, 4].map((done) => ({ done, total: 4 })));
    expect(log.slice(1, -1).filter((entry) => entry === "other work").length).toBeGreaterThanOrEqual(3);
    const seen: Progress[] = [];
    const onProgress = (progress: Progress) => seen.push(progress);
    await model.forwardAsync(model.forward(TOKENS, { stopAtLayer: 1 }), { startAtLayer: 1, onProgress });
    expect(seen.at(-1)).toEqual({ done: 3, total: 3 });
  });

  test("can be aborted, before and while it runs, with the reason of the signal", async () => {
    await expect(model.forwardAsync(TOKENS, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortError",
    });
    const control = new AbortController();
    const reason = new Error("enough");
    let blocks = 0;
    const run = model.runWithHooksAsync(TOKENS, {
      signal: control.signal,
      onProgress: () => {
        if (++blocks === 2) control.abort(reason);
      },
      fwdHooks: { "blocks.*.hook_resid_pre": () => {} },
    });
    await expect(run).rejects.toBe(reason);
    expect(blocks).toBe(2);
    expect([model.listHooks().size, model.contextLevel]).toEqual([0, 0]);
    expect(values(await model.forwardAsync(TOKENS))).toEqual(values(model.forward(TOKENS)));
  });

  test("records as its caller said, whatever others switch while it waits", async () => {
    const own = HookedTransformer.fromConfig({ ...model.cfg, seed: 2 }).setTrainable(true);
    const runs: Promise<Tensor>[] = [];
    noGrad(() => void runs.push(own.forwardAsync(TOKENS, { returnType: "loss" })));
    expect((await runs[0])?.requiresGrad).toBe(false);
    const loss = await own.forwardAsync(TOKENS, { returnType: "loss" });
    loss.backward();
    expect(own.parameter("blocks.0.attn.W_Q").grad?.shape).toEqual([2, 8, 4]);
  });

  test("refuses what forward refuses", async () => {
    await expect(model.forwardAsync([99])).rejects.toMatchObject({ code: "token_out_of_range" });
    await expect(model.forwardAsync(TOKENS, { onprogress: () => {} } as object)).rejects.toMatchObject({
      code: "invalid_argument",
    });
    const thrown = { by: "progress" };
    const onProgress = () => {
      throw thrown;
    };
    await expect(model.forwardAsync(TOKENS, { onProgress })).rejects.toBe(thrown);
  });
});

describe("hooks and caches of asynchronous runs", () => {
  const fwdHooks = { "blocks.*.attn.hook_z": (z: Tensor) => z.mul(0.5) };

  test("do what those of synchronous runs do, and are gone afterwards", async () => {
    const run = model.runWithHooksAsync(TOKENS, { fwdHooks });
    // While the run waits, nothing of it is attached.
    expect([model.listHooks().size, model.contextLevel]).toEqual([0, 0]);
    expect(values(await run)).toEqual(values(model.runWithHooks(TOKENS, { fwdHooks })));
    expect([model.listHooks().size, model.contextLevel]).toEqual([0, 0]);
    const [, cache] = await model.runWithCacheAsync(TOKENS);
    const [, expected] = model.runWithCache(TOKENS);
    expect([...cache].map(([key, value]) => [key, values(value)])).toEqual(
      [...expected].map(([key, value]) => [key, values(value)]),
    );
    expect(model.isCaching).toBe(false);
  });

  test("record gradients", async () => {
    const options = { returnType: "loss", inclBwd: true } as const;
    const [loss, cache] = await model.runWithCacheAsync(TOKENS, options);
    const [expected, sync] = model.runWithCache(TOKENS, options);
    expect(loss.item()).toBe(expected.item());
    const key = "blocks.2.hook_resid_pre_grad";
    expect(values(cache.get(key))).toEqual(values(sync.get(key)));
    await expect(model.runWithCacheAsync(TOKENS, { inclBwd: true })).rejects.toMatchObject({
      code: "scalar_required",
    });
  });

  test("that throw end the run, with the same object", async () => {
    const thrown = { by: "hook" };
    const hook = () => {
      throw thrown;
    };
    const run = model.runWithHooksAsync(TOKENS, { fwdHooks: [["blocks.2.hook_resid_pre", hook]] });
    await expect(run).rejects.toBe(thrown);
    expect(model.listHooks().size).toBe(0);
  });

  test("stay while withHooks waits", async () => {
    const out = await model.withHooks({ fwdHooks }, (hooked) => hooked.forwardAsync(TOKENS));
    expect(values(out)).toEqual(values(model.runWithHooks(TOKENS, { fwdHooks })));
  });
});

describe("runs side by side", () => {
  const point = "blocks.2.hook_resid_post";
  const hooked = (factor: number) =>
    model.runWithHooksAsync(TOKENS, { fwdHooks: { [point]: (x: Tensor) => x.mul(factor) } });
  const alone = (factor: number) =>
    model.runWithHooks(TOKENS, { fwdHooks: { [point]: (x: Tensor) => x.mul(factor) } });

  test("see only their own hooks, whichever began first", async () => {
    const [plain, doubled, cut] = [model.forwardAsync(TOKENS), hooked(2), hooked(0)];
    const between = model.forward(TOKENS);
    await turn();
    const later = model.forward(TOKENS);
    const results = await Promise.all([plain, doubled, cut]);
    const expected = [model.forward(TOKENS), alone(2), alone(0)];
    for (const [i, result] of results.entries())
      expect(values(result)).toEqual(values(expected[i] as Tensor));
    for (const result of [between, later]) expect(values(result)).toEqual(values(model.forward(TOKENS)));
    expect(model.listHooks().size).toBe(0);
  });

  test("record only what they computed", async () => {
    const others = [[7, 7, 2]];
    const [[, one], [, two], [, map]] = await Promise.all([
      model.runWithCacheAsync(TOKENS),
      model.runWithCacheAsync(others, { namesFilter: new Set([point] as const) }),
      model.runWithCacheAsync(others, { returnCacheObject: false }),
    ]);
    const [, expected] = model.runWithCache(TOKENS);
    expect([...one.keys()]).toEqual([...expected.keys()]);
    for (const [key, tensor] of one.entries()) expect(values(tensor), key).toEqual(values(expected.get(key)));
    expect([...two.keys()]).toEqual([point]);
    expect(two.get(point).shape).toEqual([1, 3, 8]);
    expect([...map.keys()]).toEqual([...expected.keys()]);
    expect(map.get(point)?.shape).toEqual([1, 3, 8]);
  });

  test("leave what a scope attaches to all of them", async () => {
    using _scope = model.hooks({ fwdHooks: { [point]: (x: Tensor) => x.mul(3) } });
    const [one, two] = await Promise.all([model.forwardAsync(TOKENS), hooked(2)]);
    expect(values(one)).toEqual(values(model.forward(TOKENS)));
    expect(values(two)).toEqual(values(alone(2)));
  });
});
