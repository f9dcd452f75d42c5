// Random numbers are the same with every engine: digests of their bits, which any of them must give.

import { expect, test } from "vitest";
import {
  bernoulli,
  full,
  HookedTransformer,
  manualSeed,
  multinomial,
  rand,
  randint,
  randn,
  randperm,
  type Tensor,
  tensor,
} from "../../ts/index.ts";
import { handleOf } from "../../ts/tensor/base.ts";

async function digest(tensors: readonly Tensor[]): Promise<string> {
  let bytes = new Uint8Array();
  for (const t of tensors) {
    const bits = handleOf(t).toBits();
    bytes = Uint8Array.of(...bytes, ...new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength));
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const CONFIG = { n_layers: 2, d_model: 16, n_ctx: 8, d_head: 4, d_vocab: 30, act_fn: "gelu" } as const;

test.each<readonly [string, () => readonly Tensor[] | Promise<readonly Tensor[]>, string]>([
  [
    "randn",
    () => [randn([1000], { seed: 7 }), randn([3, 5], { seed: 2 ** 40, dtype: "float64" })],
    "bae7a1404d4a26c1",
  ],
  [
    "randn in halves",
    () => [randn([100], { seed: 7, dtype: "float16" }), randn([100], { seed: 7, dtype: "bfloat16" })],
    "3827ce394d7b0051",
  ],
  ["rand", () => [rand([1000], { seed: 7 }), rand([7], { seed: 0, dtype: "float64" })], "24e948f06b5b4dc0"],
  ["randint", () => [randint(-5, 1_000_000, [1000], { seed: 7 })], "a8730f150a9d583e"],
  ["randperm", () => [randperm(1000, { seed: 7 })], "e964b318db9149aa"],
  ["bernoulli", () => [bernoulli(full([1000], 0.3), { seed: 7 })], "5137250bbcb74e97"],
  [
    "multinomial",
    () => [multinomial(tensor([1, 2, 3, 4]), 1000, { replacement: true, seed: 7 })],
    "b152ebdbdb097717",
  ],
  [
    "what follows manualSeed",
    () => {
      manualSeed(11);
      return [randn([10]), rand([10]), full([10], 1).dropout(0.5)];
    },
    "937180f2e950fd5d",
  ],
  [
    "weights of a model",
    () => [
      ...HookedTransformer.fromConfig({ ...CONFIG, seed: 3 })
        .stateDict()
        .values(),
    ],
    "e13bcd2c7894a5a2",
  ],
  [
    "tokens of a model",
    async () => {
      const model = HookedTransformer.fromConfig({ ...CONFIG, seed: 3 });
      return [
        await model.generate([1, 2], {
          maxNewTokens: 5,
          doSample: true,
          stopAtEos: false,
          seed: 9,
          returnType: "tokens",
        }),
      ];
    },
    "9ce9ee071430d99c",
  ],
])("%s", async (_, make, expected) => {
  expect(await digest(await make())).toBe(expected);
});
