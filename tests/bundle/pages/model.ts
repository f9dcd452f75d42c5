// A page that runs a model and hooks it, and nothing else.
import { HookedTransformer } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const [logits, cache] = model.runWithCache("In the beginning");
const ablated = model.runWithHooks("In the beginning", {
  fwdHooks: { "blocks.0.attn.hook_z": (z) => z.at({ head: 0 }).fill(0) },
});
console.log(logits.shape, ablated.shape, cache.get("blocks.0.attn.hook_pattern").shape);
