// Activation patching by hand: two prompts that differ in one word, and the model's preference between two answers. Run
// the second prompt, put one activation of the first in its place, and see how much of the first preference comes back.

import { HookedTransformer, noGrad, type Tensor } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const clean = "And Moses spake unto the";
const corrupted = "And Jesus spake unto the";
const [right, wrong] = [model.toSingleToken(" LORD"), model.toSingleToken(" disc")]; // " disciples" in two tokens

/** How much more the model expects the one answer than the other. */
function logitDifference(logits: Tensor): number {
  const last = logits.get(0, -1);
  return last.get(right).item() - last.get(wrong).item();
}

const [cleanLogits, cache] = noGrad(() => model.runWithCache(clean));
const best = logitDifference(cleanLogits);
const worst = logitDifference(noGrad(() => model.forward(corrupted)));
console.log(
  `logit difference: ${best.toFixed(2)} after '${clean}', ${worst.toFixed(2)} after '${corrupted}'`,
);

/** The share of the difference that comes back when `patch` is made in the corrupted run. */
function restored(name: `blocks.${number}.hook_resid_pre`, pos: number): string {
  const patched = noGrad(() =>
    model.runWithHooks(corrupted, {
      fwdHooks: { [name]: (x: Tensor) => x.at(0, pos).set(cache.get(name).get(0, pos)) },
    }),
  );
  return ((logitDifference(patched) - worst) / (best - worst)).toFixed(2).padStart(7);
}

// The residual stream before each block, at each position: where is the difference at each depth?
const words = model.toStrTokens(corrupted);
console.log(`         ${words.map((word) => word.trim().slice(0, 6).padStart(7)).join("")}`);
for (const layer of model.blocks.keys()) {
  const row = words.map((_, pos) => restored(`blocks.${layer}.hook_resid_pre`, pos));
  console.log(`block ${layer}  ${row.join("")}`);
}
// logit difference: 6.95 after 'And Moses spake unto the', -0.33 after 'And Jesus spake unto the'
//           <|endo    And  Jesus  spake   unto    the
// block 0     0.00   0.00   1.00   0.00   0.00   0.00
// block 1    -0.00   0.00   0.30   0.03   0.02   0.69
// block 2    -0.00   0.00   0.20   0.02   0.01   0.86
// block 3    -0.00   0.00   0.14   0.01   0.01   0.94
//
// Most of what the name says moves to the last position in the first block.
