import { beforeAll, describe, expect, test } from "vitest";
import {
  ActivationMap,
  attentionPattern,
  HookedTransformer,
  type MediaBundle,
  memory,
  randn,
  slice,
  tensor,
  zeros,
} from "../../ts/node.ts";

const display = Symbol.for("Jupyter.display");

/** What Deno's Jupyter kernel would show. */
function shown(value: object): MediaBundle {
  const show: unknown = Reflect.get(value, display);
  if (typeof show !== "function") throw new Error("shows nothing of itself");
  return show.call(value);
}

const prompt = "And God said, Let there be";
let model: HookedTransformer;
beforeAll(async () => {
  model = await HookedTransformer.fromPretrained("builtin:tiny");
});

describe("tensors", () => {
  test("show shape, dtype and a heat map of their numbers, and as text what console.log shows", () => {
    const x = tensor([
      [1, -2],
      [0.5, 4],
    ]).named("pos", "d_model");
    const bundle = shown(x);
    expect(bundle["text/plain"]).toBe(x.toString());
    expect(bundle["text/html"]).toContain("Tensor float32 [pos 2, d_model 2], cpu");
    for (const cell of [
      "<td class=p2>1.00",
      "<td class=n3>−2.00",
      "<td class=p1>0.500",
      "<td class=p5>4.00",
    ]) {
      expect(bundle["text/html"]).toContain(cell);
    }
  });

  test.each([
    ["a number", tensor(3), "<pre>"],
    ["no numbers", zeros([0, 4]), "<pre>"],
    ["truth values", tensor([true, false]), "Tensor bool [2]"],
    ["ids", tensor([50256, 3], { dtype: "int64" }), "50256"],
    ["NaN", tensor([Number.NaN, 1]), "<td class=nan>NaN"],
    ["five axes", zeros([2, 2, 2, 2, 2]), "the first of the other axes"],
  ])("%s", (_, x, text) => {
    expect(shown(x)["text/html"]).toContain(text);
  });

  test("large ones are cut, and copied only as far as they are shown", () => {
    const x = zeros([3, 2000, 3000]);
    const before = memory().bytes;
    const { "text/html": page } = shown(x);
    expect(page).toContain("24 of 2000 rows, 24 of 3000 columns");
    expect(page.length).toBeLessThan(80_000);
    expect(memory().bytes).toBeLessThan(before + 100_000);
  });

  test("a disposed one says so", () => {
    const x = zeros([2]);
    x.dispose();
    expect(shown(x)["text/plain"]).toBe("Tensor(disposed)");
  });

  test("one that requires a gradient keeps its graph as it was", () => {
    const x = randn([3, 3], { requiresGrad: true });
    const y = x.mul(2);
    expect(shown(y)["text/html"]).toContain("requires a gradient");
    y.sum().backward();
    expect(x.grad?.toArray(2)[0]).toEqual([2, 2, 2]);
  });
});

describe("attention patterns", () => {
  test("show the viewer of all heads, with the tokens of the run", () => {
    const [, cache] = model.runWithCache(prompt);
    const page = shown(cache.get("blocks.1.attn.hook_pattern"))["text/html"];
    expect(page.match(/role="radio" aria-checked="(true|false)" aria-label="head \d"/g)).toHaveLength(4);
    for (const token of ["God", "said", "there"]) expect(page).toContain(`<i>·</i>${token}`);
    expect(page).toContain("Tensor float32 [batch 1, head 4, query 9, key 9]");
  });

  test("of a cache without a batch axis, and of one head", () => {
    const [, cache] = model.runWithCache(prompt, { removeBatchDim: true });
    const pattern = cache.get("blocks.0.attn.hook_pattern");
    expect(shown(pattern)["text/html"]).toContain("<i>·</i>God");
    const one = pattern.get(2).named("query", "key");
    expect(shown(one)["text/html"]).toContain("<hl-attention");
  });

  test("positions stand for tokens that are not known or cut", () => {
    const [, cache] = model.runWithCache([5, 6, 7], { posSlice: [0, 2] });
    const page = shown(cache.get("blocks.0.attn.hook_pattern"))["text/html"];
    expect(page).not.toContain("<hl-attention");
    const square = zeros([1, 3, 3]).named("head", "query", "key");
    expect(shown(square)["text/html"]).toContain("<hl-attention");
  });

  test("scores are no shares: they are a heat map", () => {
    const [, cache] = model.runWithCache(prompt);
    const page = shown(cache.get("blocks.0.attn.hook_attn_scores"))["text/html"];
    expect(page).not.toContain("<hl-attention");
    expect(page).toContain("<td class=nan>−∞");
  });
});

describe("caches", () => {
  test("show a table of keys, shapes and bytes", () => {
    const [, cache] = model.runWithCache(prompt);
    const bundle = shown(cache);
    expect(bundle["text/plain"]).toBe(cache.toString());
    const page = bundle["text/html"];
    for (const key of cache.keys()) expect(page).toContain(`>${key}<`);
    expect(page).toContain("[batch 1, head 4, query 9, key 9]");
    expect(page).toContain("1,296</td>");
    const map = new ActivationMap();
    expect(shown(map)["text/html"]).toContain("ActivationMap(0 tensors");
  });

  test("and leave nothing behind", () => {
    const [, cache] = model.runWithCache(prompt);
    const before = memory().tensors;
    shown(cache);
    shown(cache.get("blocks.0.attn.hook_pattern").get(0, 0, slice(null)));
    // Those that the test itself took.
    expect(memory().tensors - before).toBeLessThanOrEqual(2);
  });
});

test("pictures", () => {
  const picture = attentionPattern(
    ["a", "</script>"],
    [
      [1, 0],
      [0.25, 0.75],
    ],
  );
  expect(shown(picture)["text/html"]).toBe(picture.toString());
  expect(shown(picture)["text/plain"]).toBe("Picture(Attention pattern)");
  expect(picture.toString().match(/<script/g)).toHaveLength(1);
});
