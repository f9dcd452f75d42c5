// Direct logit attribution by hand: the residual stream is a sum, and logits are linear in it once the last norm's scale
// is known. So each head and each MLP adds its own share to the difference of two logits, and the shares sum up.

import { HookedTransformer, noGrad, type Tensor } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const prompt = "And the children of";
const [answer, other] = [model.toSingleToken(" Israel"), model.toSingleToken(" Judah")];

const named = ["blocks.*.attn.hook_result", "hook_embed", "hook_pos_embed", "blocks.*.hook_mlp_out"] as const;
const [logits, cache] = noGrad(() =>
  model.runWithCache(prompt, { namesFilter: [...named, "ln_final.hook_scale"] }),
);

// What reads the answer's logit minus the other's from the normalised residual stream. `[d_model]`
const { ln_final, unembed } = model;
const reads = model.tokensToResidualDirections(answer).sub(model.tokensToResidualDirections(other));
const scale = cache.get("ln_final.hook_scale").get(0, -1); // [1]

/** What `part` `[d_model]` of the residual stream adds to the difference. */
function share(part: Tensor): number {
  return part.sub(part.mean()).div(scale).mul(ln_final.w).mul(reads).sum().item();
}

const shares = new Map<string, number>();
const embeddings = cache.get("hook_embed").add(cache.get("hook_pos_embed"));
shares.set("embeddings", share(embeddings.get(0, -1)));
for (const layer of model.blocks.keys()) {
  const results = cache.get(`blocks.${layer}.attn.hook_result`).get(0, -1); // [head, d_model]
  for (let head = 0; head < model.cfg.n_heads; head++)
    shares.set(`L${layer}H${head}`, share(results.get(head)));
  shares.set(`MLP ${layer}`, share(cache.get(`blocks.${layer}.hook_mlp_out`).get(0, -1)));
}
const biases = share(model.accumulatedBias(model.cfg.n_layers, { includeMlpBiases: false }));
const constant =
  ln_final.b.mul(reads).sum().item() + unembed.b_U.get(answer).sub(unembed.b_U.get(other)).item();
shares.set("biases", biases + constant);

for (const [part, value] of [...shares].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 8)) {
  console.log(`${part.padEnd(10)} ${value.toFixed(2).padStart(6)}`);
}
const sum = [...shares.values()].reduce((total, value) => total + value, 0);
const difference = logits
  .get(0, -1, answer)
  .sub(logits.get(0, -1, other))
  .item();
console.log(`all parts  ${sum.toFixed(4)}, and the model's own logits differ by ${difference.toFixed(4)}`);
// MLP 0        1.94
// MLP 2       -0.47
// biases       0.43
// L3H0        -0.29
// MLP 3       -0.29
// L3H3        -0.26
// MLP 1        0.22
// L1H3         0.18
// all parts  1.5036, and the model's own logits differ by 1.5036
