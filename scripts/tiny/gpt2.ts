/** GPT-2's form: its configuration in the reference's terms, and a trained model's weights under Hugging Face's names. */
import { cat, type Tensor } from "../../ts/tensor/index.ts";
import type { Architecture, TinyModel } from "./model.ts";

/** The sizes in a Hugging Face config of GPT-2. */
export interface Gpt2Config {
  readonly n_layer: number;
  readonly n_head: number;
  readonly n_embd: number;
  readonly n_positions: number;
  readonly vocab_size: number;
  readonly layer_norm_epsilon: number;
  readonly initializer_range: number;
}

/** GPT-2's architecture, initialisation and tied head. */
export function gpt2Architecture(config: Gpt2Config): Architecture {
  return {
    tied: true,
    sinusoids: false,
    config: {
      n_layers: config.n_layer,
      n_heads: config.n_head,
      d_model: config.n_embd,
      d_head: config.n_embd / config.n_head,
      d_mlp: 4 * config.n_embd,
      n_ctx: config.n_positions,
      d_vocab: config.vocab_size,
      act_fn: "gelu_new",
      normalization_type: "LN",
      positional_embedding_type: "standard",
      eps: config.layer_norm_epsilon,
      init_mode: "gpt2",
      initializer_range: config.initializer_range,
    },
  };
}

/** `[n_heads, d_model, d_head]` to the `[in, out]` of GPT-2's Conv1D: heads side by side in the columns. */
function columns(perHead: Tensor): Tensor {
  const [heads = 0, dModel = 0, dHead = 0] = perHead.shape;
  return perHead.permute(1, 0, 2).reshape(dModel, heads * dHead);
}

/** The weights under the names of `GPT2LMHeadModel`. The head is tied, so it has no tensor of its own. */
export function gpt2State(model: TinyModel): Map<string, Tensor> {
  const state = new Map<string, Tensor>();
  const at = (name: string): Tensor => model.parameter(name);
  state.set("transformer.wte.weight", at("embed.W_E"));
  state.set("transformer.wpe.weight", at("pos_embed.W_pos"));
  for (let layer = 0; layer < model.config.n_layers; layer++) {
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
