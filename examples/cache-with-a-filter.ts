// A cache records only what one asks for, and in the form one asks for: here the attention patterns of the last query
// position, which tell where the model looks to predict the next token.

import { HookedTransformer } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const prompt = "The LORD is my shepherd; I shall not";

const [, cache] = model.runWithCache(prompt, {
  namesFilter: /hook_pattern$/,
  posSlice: -1,
  removeBatchDim: true,
});
console.log(String(cache));

const tokens = model.toStrTokens(prompt);
for (let layer = 0; layer < model.cfg.n_layers; layer++) {
  // [head, query, key]; only one query is left.
  const pattern = cache.get(["pattern", layer]).get(0, 0);
  const strongest = pattern.argmax().item();
  const weight = pattern.get(strongest).item();
  console.log(`layer ${layer}, head 0 looks at ${JSON.stringify(tokens[strongest])} (${weight.toFixed(2)})`);
}
// ActivationCache(4 tensors, 0.0 MB)
// layer 0, head 0 looks at " shall" (0.23)
// layer 1, head 0 looks at "<|endoftext|>" (0.21)
// layer 2, head 0 looks at " shall" (0.42)
// layer 3, head 0 looks at "<|endoftext|>" (0.87)
