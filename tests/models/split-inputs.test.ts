/** Queries, keys and values with inputs of their own: the norm before attention fires once for each. */

import { describe, expect, test } from "vitest";
import { HookedTransformer, type Tensor } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";
import { CONFIG, TOKENS } from "./small.ts";

const grouped = HookedTransformer.fromConfig({
  ...CONFIG,
  n_heads: 4,
  n_key_value_heads: 2,
  dtype: "float64",
});
const plain = HookedTransformer.fromConfig({ ...CONFIG, dtype: "float64" });
const NORMALIZED = "blocks.1.ln1.hook_normalized";
const SCALE = "blocks.1.ln1.hook_scale";
const everything = { returnType: "loss", inclBwd: true, namesFilter: () => true } as const;

function numbers(tensor: Tensor): number[] {
  return [...tensor.toTypedArray()].map(Number);
}

function close(a: Tensor, b: Tensor): void {
  expect(a.shape).toEqual(b.shape);
  const other = numbers(b);
  for (const [i, x] of numbers(a).entries()) expect(x).toBeCloseTo(other[i] ?? Number.NaN, 12);
}

describe.each([
  ["as many heads", plain, 2, 2],
  ["fewer key and value heads", grouped, 4, 2],
] as const)("%s", (_, model, heads, kvHeads) => {
  test("recording everything gives each input its own norm and gradient", () => {
    const [, shared] = model.runWithCache(TOKENS, { returnType: "loss", inclBwd: true });
    const [loss, cache] = model.runWithCache(TOKENS, everything);
    expect(loss.item()).toBeCloseTo(model.forward(TOKENS, { returnType: "loss" }).item(), 12);
    for (const point of [NORMALIZED, SCALE] as const) {
      const counts = { q: heads, k: kvHeads, v: kvHeads };
      let total: Tensor | null = null;
      for (const branch of ["q", "k", "v"] as const) {
        const value = cache.get(`${point}_${branch}`);
        const gradient = cache.get(`${point}_${branch}_grad`);
        expect(value.shape.slice(0, 3)).toEqual([1, 4, counts[branch]]);
        expect(gradient.shape).toEqual(value.shape);
        expect(value.axes).toEqual(["batch", "pos", "head", point === SCALE ? "one" : "d_model"]);
        for (let head = 0; head < counts[branch]; head++) close(value.select(2, head), shared.get(point));
        const summed = gradient.sum(2);
        total = total === null ? summed : total.add(summed);
      }
      if (total !== null) close(total, shared.get(`${point}_grad`));
      close(cache.get(point), cache.get(`${point}_v`));
    }
    expect(cache.has(`${SCALE}_grad`)).toBe(heads === kvHeads);
    expect([...cache.keys()].filter((key) => key.startsWith("blocks.1.ln1.")).length).toBe(
      heads === kvHeads ? 16 : 14,
    );
  });

  test("hooks are told which input they see, and edit it", () => {
    const seen: string[] = [];
    const table = {
      fwdHooks: {
        "blocks.1.hook_k_input": () => {},
        [NORMALIZED]: (x: Tensor, hook: { readonly name: string }) => {
          seen.push(hook.name);
          return hook.name.endsWith("_k") ? x.mul(0) : null;
        },
      },
    } as const;
    const before = model.runWithCache(TOKENS)[1];
    const scope = model.hooks(table);
    const after = model.runWithCache(TOKENS)[1];
    scope.dispose();
    expect(seen).toEqual([`${NORMALIZED}_q`, `${NORMALIZED}_k`, `${NORMALIZED}_v`]);
    for (const part of ["q", "v"] as const)
      close(after.get(`blocks.1.attn.hook_${part}`), before.get(`blocks.1.attn.hook_${part}`));
    expect(numbers(after.get("blocks.1.attn.hook_k"))).not.toEqual(
      numbers(before.get("blocks.1.attn.hook_k")),
    );
  });

  test("a plain map holds the same", () => {
    const [, cache] = model.runWithCache(TOKENS, everything);
    const [, map] = model.runWithCache(TOKENS, { ...everything, returnCacheObject: false });
    expect([...map.keys()].sort()).toEqual([...cache.keys()].sort());
    for (const [key, value] of cache) expect(numbers(map.get(key) as Tensor), key).toEqual(numbers(value));
  });
});

test("a filter on the plain name records the value input and, if there is one, the total gradient", () => {
  for (const model of [plain, grouped]) {
    model.addHook("blocks.1.hook_q_input", () => {});
    const [, cache] = model.runWithCache(TOKENS, { ...everything, namesFilter: NORMALIZED });
    model.resetHooks();
    expect(cache.get(NORMALIZED).shape).toEqual([1, 4, 2, 8]);
    expect(cache.has(`${NORMALIZED}_grad`)).toBe(model === plain);
    expect(cache.has(`${NORMALIZED}_q_grad`)).toBe(true);
  }
});

test("a total that does not exist is an error that names what there is", () => {
  const [, cache] = grouped.runWithCache(TOKENS, everything);
  const lookUp = () => cache.get(`${NORMALIZED}_grad`);
  expect(codeOf(lookUp)).toBe("not_cached");
  expect(lookUp).toThrow(`${NORMALIZED}_q_grad`);
});

test("without inputs of their own there is one firing and no other key", () => {
  const [, cache] = plain.runWithCache(TOKENS, { namesFilter: /ln1/ });
  expect(cache.size).toBe(4);
  expect(cache.has(`${NORMALIZED}_q`)).toBe(false);
  expect(codeOf(() => cache.get(`${NORMALIZED}_q`))).toBe("not_cached");
});
