// Induction heads: show a model random tokens twice. A head that, at the second occurrence of a token, attends to what
// followed the first, lets the model predict text that it can know from nowhere else.

import { cat, full, HookedTransformer, noGrad, randint, type Tensor } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:induction");
const length = 50;
const random = randint(1, model.cfg.d_vocab, [16, length], { seed: 0 });
const start = full([16, 1], model.tokenizer?.bosId ?? 0, { dtype: "int64" });
const tokens = cat([start, random, random], 1); // [batch, 1 + 2 * length]

// The second time is far easier than the first.
const loss = noGrad(() => model.forward(tokens, { returnType: "loss", lossPerToken: true }));
const mean = (part: Tensor) => part.mean().item().toFixed(2);
console.log(`first time ${mean(loss.get("...", { stop: length }))} nats a token`);
console.log(`second time ${mean(loss.get("...", { start: length + 1 }))} nats a token`);
// first time 7.79 nats a token
// second time 0.22 nats a token

// From the second occurrence at position q, what followed the first is at q - length + 1.
const queries = Array.from({ length: length - 1 }, (_, i) => length + 1 + i);
const keys = queries.map((query) => query - length + 1);
const [, cache] = noGrad(() => model.runWithCache(tokens, { namesFilter: "blocks.*.attn.hook_pattern" }));

console.log("induction scores, a row for each layer, a column for each head:");
for (const layer of model.blocks.keys()) {
  const pattern = cache.get(`blocks.${layer}.attn.hook_pattern`); // [batch, head, query, key]
  const scores = pattern.get("...", queries, keys).mean([0, 2]).toFloat32Array();
  console.log([...scores].map((score) => score.toFixed(2)).join("  "));
}
// induction scores, a row for each layer, a column for each head:
// 0.00  0.00  0.01  0.00
// 0.86  0.00  0.86  0.81

// Is it these heads that do it? Without them the second time is no easier than the first.
const heads = [0, 2, 3];
using _scope = model.hooks({ fwdHooks: { "blocks.1.attn.hook_z": (z) => z.at({ head: heads }).fill(0) } });
const without = noGrad(() => model.forward(tokens, { returnType: "loss", lossPerToken: true }));
console.log(`second time without them ${mean(without.get("...", { start: length + 1 }))} nats a token`);
// second time without them 9.22 nats a token
