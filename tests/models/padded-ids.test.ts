// A batch of ids that was filled up gives the numbers of its texts wherever one says so, and is never read as text in silence.

import { beforeAll, expect, test } from "vitest";
import { HookedTransformer, noGrad, type Tensor } from "../../ts/index.ts";
import { code, values } from "../hooks/toy.ts";
import { byteLevel } from "../text/tokenizers.ts";
import { CONFIG } from "./small.ts";

const TEXTS = ["And God said", "In the beginning God created the heaven and the earth.", "And"];
const GREEDY = { maxNewTokens: 4, doSample: false, returnType: "str" } as const;
let tiny: HookedTransformer;

beforeAll(async () => {
  tiny = await HookedTransformer.fromPretrained("builtin:tiny");
});

/** The largest difference of two tensors where the mask says that there is text. */
function farthest(a: Tensor, b: Tensor, mask: Tensor): number {
  const difference = a.sub(b).abs().mul(mask.float().unsqueeze(-1));
  return difference.max().item();
}

const sides = ["left", "right"] as const;

test.each(sides)("filled up on the %s and said so, they give what their texts give", (paddingSide) => {
  noGrad(() => {
    const ids = tiny.toTokens(TEXTS, { paddingSide });
    const mask = tiny.getAttentionMask(ids, { paddingSide });
    const texts = tiny.forward(TEXTS, { paddingSide, returnType: "both" });
    const [out, cache] = tiny.runWithCache(ids, { paddingSide, returnType: "both" });
    expect(farthest(out.logits, texts.logits, mask)).toBeLessThan(1e-4);
    expect(out.loss.item()).toBeCloseTo(texts.loss.item(), 5);
    const from = { startAtLayer: 1, tokens: ids, paddingSide, returnType: "both" } as const;
    const resid = cache.get(["resid_pre", 1]);
    const later = tiny.forward(resid, from);
    expect(farthest(later.logits, texts.logits, mask)).toBeLessThan(1e-4);
    expect(later.loss.item()).toBeCloseTo(texts.loss.item(), 5);
    expect(tiny.runWithCache(resid, from)[0].loss.item()).toBeCloseTo(later.loss.item(), 5);
    const narrow = tiny.forward(ids.to("uint32"), { paddingSide, returnType: "loss" });
    expect(narrow.item()).toBeCloseTo(texts.loss.item(), 5);
  });
});

test.each(sides)("filled up on the %s into a cache, what follows sees their texts only", (paddingSide) => {
  noGrad(() => {
    const ids = tiny.toTokens(TEXTS, { paddingSide });
    const next = TEXTS.map(() => [tiny.toSingleToken(" the")]);
    const alone = TEXTS.map((text) => values(tiny.forward(`${text} the`).get(0, -1)));
    const ways = paddingSide === "left" ? [{ paddingSide }] : [{ paddingSide }, {}];
    for (const how of ways) {
      using pastKvCache = tiny.createKvCache({ batchSize: TEXTS.length });
      tiny.forward(ids, { pastKvCache, ...how });
      expect(values(pastKvCache.previousAttentionMask)).toEqual(
        values(tiny.getAttentionMask(ids, { paddingSide })),
      );
      const last = tiny.forward(next, { pastKvCache }).get({ start: 0 }, -1);
      for (const [row, expected] of alone.entries()) {
        for (const [i, logit] of (values(last.get(row)) as number[]).entries()) {
          expect(Math.abs(logit - Number((expected as number[])[i]))).toBeLessThan(1e-4);
        }
      }
    }
  });
});

test("generate refuses rows that end in padding, and takes what is meant as text", async () => {
  const ids = tiny.toTokens(TEXTS, { paddingSide: "right" });
  for (const how of [{}, { paddingSide: "left" }] as const) {
    await expect(tiny.generate(ids, { ...GREEDY, ...how })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/^row 0 ends with padding.*paddingSide: 'left'.*attentionMask/),
    });
    expect(code(() => tiny.generateStream(ids, { maxNewTokens: 4, doSample: false, ...how }))).toBe(
      "invalid_argument",
    );
  }
  const attentionMask = values(ids.mul(0).add(1)) as number[][];
  expect(await tiny.generate(ids, { ...GREEDY, attentionMask })).toHaveLength(3);
  const texts = await tiny.generate(TEXTS, GREEDY);
  const left = tiny.toTokens(TEXTS, { paddingSide: "left" });
  expect(await tiny.generate(left, { ...GREEDY, paddingSide: "left" })).toEqual(texts);
  // The end-of-sequence token begins texts, too: alone, in every row, or as the whole of an empty text.
  const end = tiny.tokenizer?.padId ?? -1;
  const begun = { ...GREEDY, stopAtEos: false };
  expect(await tiny.generate([[end]], begun)).toEqual([await tiny.generate("", begun)]);
  expect(await tiny.generate([[end], [5]], begun)).toHaveLength(2);
  const both = tiny.toTokens(["", "And"], { paddingSide: "left" });
  expect(await tiny.generate(both, { ...begun, paddingSide: "left" })).toEqual(
    await tiny.generate(["", "And"], begun),
  );
});

test("a side that nothing can be found by is refused", () => {
  const bare = HookedTransformer.fromConfig(CONFIG);
  expect(code(() => bare.forward([[1, 2]], { paddingSide: "right" }))).toBe("tokenizer_required");
  const resid = tiny.forward("And", { stopAtLayer: 1 });
  expect(code(() => tiny.forward(resid, { startAtLayer: 1, paddingSide: "left" }))).toBe("invalid_argument");
  const mask = tiny.getAttentionMask(tiny.toTokens("And"));
  const out = tiny.forward(resid, { startAtLayer: 1, paddingSide: "left", attentionMask: mask });
  expect(out.shape[0]).toBe(1);
});

test("a tokenizer that pads on the left says so for a run that starts at a later layer, too", () => {
  const tokenizer = byteLevel({ bos: "<s>", eos: "</s>", pad: "<pad>", paddingSide: "left" });
  const model = HookedTransformer.fromConfig({ ...CONFIG, d_vocab: 268 }, { tokenizer });
  noGrad(() => {
    const tokens = model.toTokens(["the cat", "cat"]);
    const whole = model.forward(tokens, { returnType: "loss" });
    const resid = model.forward(tokens, { stopAtLayer: 1 });
    const rest = model.forward(resid, { startAtLayer: 1, tokens, returnType: "loss" });
    expect(rest.item()).toBeCloseTo(whole.item(), 6);
  });
});
