/** Writes a trained model as a Hugging Face GPT-2 directory: `transformers`' names and layouts, float16. */
import { writeStateDict } from "../../ts/hooks/state-file.ts";
import { cat, noGrad, type Tensor, tidy } from "../../ts/tensor/index.ts";
import type { TinyModel } from "./model.ts";

/** `[n_heads, d_model, d_head]` to the `[in, out]` of GPT-2's Conv1D: heads side by side in the columns. */
function columns(perHead: Tensor): Tensor {
  const [heads = 0, dModel = 0, dHead = 0] = perHead.shape;
  return perHead.permute(1, 0, 2).reshape(dModel, heads * dHead);
}

/** The weights under the names of `GPT2LMHeadModel`. The head is tied, so it has no tensor of its own. */
export function huggingFaceState(model: TinyModel): Map<string, Tensor> {
  const state = new Map<string, Tensor>();
  const at = (name: string): Tensor => model.parameter(name);
  state.set("transformer.wte.weight", at("embed.W_E"));
  state.set("transformer.wpe.weight", at("pos_embed.W_pos"));
  for (let layer = 0; layer < model.config.n_layer; layer++) {
    const own = (name: string): Tensor => at(`blocks.${layer}.${name}`);
    const set = (name: string, value: Tensor): void =>
      void state.set(`transformer.h.${layer}.${name}`, value);
    for (const i of [1, 2]) {
      set(`ln_${i}.weight`, own(`ln${i}.w`));
      set(`ln_${i}.bias`, own(`ln${i}.b`));
    }
    const inputs = ["Q", "K", "V"];
    set(
      "attn.c_attn.weight",
      cat(
        inputs.map((x) => columns(own(`attn.W_${x}`))),
        1,
      ),
    );
    set(
      "attn.c_attn.bias",
      cat(
        inputs.map((x) => own(`attn.b_${x}`).flatten()),
        0,
      ),
    );
    set("attn.c_proj.weight", own("attn.W_O").flatten(0, 1));
    set("attn.c_proj.bias", own("attn.b_O"));
    set("mlp.c_fc.weight", own("mlp.W_in"));
    set("mlp.c_fc.bias", own("mlp.b_in"));
    set("mlp.c_proj.weight", own("mlp.W_out"));
    set("mlp.c_proj.bias", own("mlp.b_out"));
  }
  state.set("transformer.ln_f.weight", at("ln_final.w"));
  state.set("transformer.ln_f.bias", at("ln_final.b"));
  return state;
}

/** Rounds the model's own weights to float16, so that what is measured is what is published. */
export function roundToHalf(model: TinyModel): void {
  noGrad(() =>
    tidy(() => {
      for (const [, weight] of model.trained()) weight.assign_(weight.to("float16").to("float32"));
    }),
  );
  model.tieHead();
}

/** Writes `model.safetensors` into `directory`. */
export function publish(model: TinyModel, directory: string): void {
  noGrad(() =>
    tidy(() => {
      const half = [...huggingFaceState(model)].map(
        ([name, value]) => [name, value.detach().contiguous().to("float16")] as const,
      );
      // transformers refuses a file that does not say which framework wrote it.
      writeStateDict(`${directory}/model.safetensors`, new Map(half), { format: "pt" });
    }),
  );
}
