// A page that runs a model in a worker, with a hook as data.
import { startWorker } from "hooklens/worker";

const worker = await startWorker();
const model = await worker.HookedTransformer.fromConfig({
  n_layers: 2,
  d_model: 16,
  n_ctx: 8,
  d_head: 4,
  d_vocab: 10,
  act_fn: "gelu",
});
const logits = await model.runWithHooks([1, 2, 3], {
  fwdHooks: { "blocks.1.attn.hook_z": { kind: "zero", at: { head: 2 } } },
});
console.log((await worker.info()).engine, (await logits.toTypedArray()).length);
worker.dispose();
console.log(await model.forward([1]).catch((error: unknown) => (error as { code: string }).code));
