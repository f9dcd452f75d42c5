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
// "<|endoftext|>"  1.1066  without MLPs 0.0839
// "And"            0.8501  without MLPs 0.0780
// " God"           0.9199  without MLPs 0.0625
// " said"          1.2474  without MLPs 0.1050
// ","              1.0291  without MLPs 0.0776
// " L"             1.3547  without MLPs 0.1235
// "et"             1.0934  without MLPs 0.1138
// " there"         1.0592  without MLPs 0.0557
// " be"            0.7684  without MLPs 0.0780
// " l"             1.1907  without MLPs 0.0933
// "ight"           0.0000  without MLPs 0.0000
