// Backward hooks see the gradient of the loss at a point, and may change what flows further back: here nothing flows
// through the MLPs, so that the gradient at the embedding is the part that went through attention and the residual stream.

import { HookedTransformer } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const prompt = "And God said, Let there be light";

/** How strongly the loss depends on each token's embedding. */
function saliency(): number[] {
  const [, cache] = model.runWithCache(prompt, {
    returnType: "loss",
    inclBwd: true,
    namesFilter: "hook_embed",
  });
  return cache.get("hook_embed_grad").norm("d_model").toArray(2)[0] ?? [];
}

const whole = saliency();
using _scope = model.hooks({ bwdHooks: [["blocks.*.hook_mlp_out", (gradient) => gradient.mul(0)]] });
const withoutMlps = saliency();

for (const [i, token] of model.toStrTokens(prompt).entries()) {
  console.log(
    `${JSON.stringify(token).padEnd(16)} ${whole[i]?.toFixed(4)}  without MLPs ${withoutMlps[i]?.toFixed(4)}`,
  );
}
