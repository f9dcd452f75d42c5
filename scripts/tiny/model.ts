/** The network that becomes `models/tiny` while it is being trained: GPT-2's architecture, initialisation and tied head. */
import { readFileSync } from "node:fs";
import { engine } from "../../ts/engine/current.ts";
import type { EngineModel } from "../../ts/engine/engine.ts";
import { handleOf, wrap } from "../../ts/tensor/base.ts";
import { noGrad, type Tensor, tensor, tidy } from "../../ts/tensor/index.ts";
import { modelDir } from "./corpus.ts";
import type { Windows } from "./tokens.ts";

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

/** `models/tiny/config.json`. */
export function publishedConfig(): Gpt2Config {
  return JSON.parse(readFileSync(`${modelDir}config.json`, "utf8")) as Gpt2Config;
}

/** A GPT-2 with trainable weights under the reference's names and shapes. */
export class TinyModel {
  readonly config: Gpt2Config;
  readonly #model: EngineModel;
  readonly #parameters: ReadonlyMap<string, Tensor>;

  private constructor(config: Gpt2Config, model: EngineModel) {
    this.config = config;
    this.#model = model;
    model.setTrainable(true);
    this.#parameters = new Map(model.parameterNames().map((name) => [name, wrap(model.parameter(name))]));
  }

  /** Random weights: normal with `initializer_range`, what writes to the residual stream scaled by 1/√(2·layers). */
  static random(config: Gpt2Config, seed: number): TinyModel {
    const reference = {
      model_name: "tiny",
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
      seed,
    };
    const model = new TinyModel(config, engine().createModel(JSON.stringify(reference), {}));
    noGrad(() =>
      tidy(() => {
        const scale = 1 / Math.sqrt(2 * config.n_layer);
        for (const [name, weight] of model.#parameters) {
          if (/\.(W_O|W_out)$/.test(name)) weight.assign_(weight.mul(scale));
        }
        model.tieHead();
      }),
    );
    return model;
  }

  /** Reads a published model, trainable. */
  static async load(directory: string): Promise<TinyModel> {
    const config = JSON.parse(readFileSync(`${directory}/config.json`, "utf8")) as Gpt2Config;
    return new TinyModel(config, await engine().startLoading(directory, { dtype: "float32" }).finish());
  }

  parameter(name: string): Tensor {
    const found = this.#parameters.get(name);
    if (found === undefined) throw new Error(`the model has no weight '${name}'`);
    return found;
  }

  /** Everything that is trained: the head follows the embedding, and GPT-2's head has no bias. */
  trained(): [string, Tensor][] {
    return [...this.#parameters].filter(([name]) => !name.startsWith("unembed."));
  }

  /** Copies the embedding to the head. */
  tieHead(): void {
    noGrad(() =>
      tidy(() => {
        this.parameter("unembed.W_U").assign_(this.parameter("embed.W_E").transpose(0, 1).contiguous());
      }),
    );
  }

  /** Adds the head's gradient to the embedding's, as if they were one weight. */
  tieGradients(): void {
    noGrad(() =>
      tidy(() => {
        const [embedding, head] = [this.parameter("embed.W_E"), this.parameter("unembed.W_U")];
        if (embedding.grad !== null && head.grad !== null) {
          embedding.grad = embedding.grad.add(head.grad.transpose(0, 1));
        }
        for (const [name, weight] of this.#parameters) if (name.startsWith("unembed.")) weight.zeroGrad();
      }),
    );
  }

  /** Mean cross-entropy in nats over all next tokens of these windows. */
  loss({ ids, batch }: Windows): Tensor {
    const tokens = tensor(ids, { shape: [batch, ids.length / batch] });
    const { loss } = this.#model.forward({ input: handleOf(tokens), returnType: "loss" });
    if (loss === null) throw new Error("the engine gave no loss");
    return wrap(loss);
  }

  /** Logits after the last of these ids: `[d_vocab]`. */
  nextLogits(ids: readonly number[]): Float32Array {
    return noGrad(() =>
      tidy(() => {
        const tokens = tensor(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length] });
        const { logits } = this.#model.forward({ input: handleOf(tokens), returnType: "logits" });
        if (logits === null) throw new Error("the engine gave no logits");
        return wrap(logits).slice(1, -1).toFloat32Array();
      }),
    );
  }
}
