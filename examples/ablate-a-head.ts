// What does each attention head contribute to the next token? Silence one at a time and compare.

import { HookedTransformer, noGrad, zero } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const prompt = "In the beginning God created the heaven and the";

/** The log-probability that the model gives to `token` after the prompt. */
function logProb(token: number, head?: { readonly layer: number; readonly head: number }): number {
  using _scope = model.hooks(
    head === undefined
      ? {}
      : { fwdHooks: { [`blocks.${head.layer}.attn.hook_z`]: zero().at({ head: head.head }) } },
  );
  return noGrad(() => model.forward(prompt).get(0, -1).logSoftmax(0).get(token).item());
}

const answer = noGrad(() => model.forward(prompt).get(0, -1).argmax().item());
const baseline = logProb(answer);
console.log(
  `after '${prompt}' the model expects '${model.toSingleStrToken(answer)}' (${baseline.toFixed(3)})`,
);

for (let layer = 0; layer < model.cfg.n_layers; layer++) {
  const effects = Array.from(
    { length: model.cfg.n_heads },
    (_, head) => logProb(answer, { layer, head }) - baseline,
  );
  console.log(`layer ${layer}: ${effects.map((effect) => effect.toFixed(3).padStart(7)).join(" ")}`);
}
// after 'In the beginning God created the heaven and the' the model expects ' earth' (-1.600)
// layer 0:  -0.194  -0.162  -0.653  -1.392
// layer 1:  -0.037   0.011  -0.050   0.010
// layer 2:   0.029  -0.033  -0.048  -0.020
// layer 3:   0.270   0.113   0.102   0.048
