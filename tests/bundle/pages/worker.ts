// A page that leaves everything to a worker.
import { startWorker } from "hooklens/worker";

using worker = await startWorker();
const model = await worker.HookedTransformer.fromPretrained("builtin:tiny");
using logits = await model.runWithHooks("In the beginning", {
  fwdHooks: { "blocks.0.attn.hook_z": { kind: "zero", at: { head: 0 } } },
});
console.log(await logits.toTypedArray());
