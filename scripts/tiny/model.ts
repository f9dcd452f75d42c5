/** A language model while it is being trained: weights under the reference's names that gradients reach. */
import { engine } from "../../ts/engine/current.ts";
import type { EngineModel, ForwardRequest } from "../../ts/engine/engine.ts";
import { readModel } from "../../ts/models/read-model.ts";
import { chooseSource } from "../../ts/models/sources/choose-source.ts";
import type { TransformerConfig } from "../../ts/models/transformer-config.ts";
import { handleOf, wrap } from "../../ts/tensor/base.ts";
import { noGrad, type Tensor, tensor, tidy } from "../../ts/tensor/index.ts";
import type { Windows } from "./tokens.ts";

/** What a model is before it has weights. */
export interface Architecture {
  /** The reference's configuration; keys left out have their defaults. */
  readonly config: Partial<TransformerConfig>;
  /** Whether the head is the embedding, transposed, and has no bias. */
  readonly tied: boolean;
  /** Whether position embeddings begin as {@link sinusoids} instead of at random. */
  readonly sinusoids: boolean;
}

/**
 * Sines and cosines of positions, `[n_ctx, d_model]`, their wavelengths from 2π to 2π·`n_ctx` positions (Vaswani et al.,
 * "Attention is all you need", 2017, with another longest wavelength). Looking one position back is then one rotation,
 * the same wherever a query stands, and need not be learned for every position.
 */
export function sinusoids(positions: number, width: number): Tensor {
  const values = new Float32Array(positions * width);
  const half = Math.floor(width / 2);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * positions ** (-i / half);
      values[position * width + i] = Math.sin(angle);
      values[position * width + half + i] = Math.cos(angle);
    }
  }
  return tensor(values, { shape: [positions, width] });
}

/** A transformer with trainable weights under the reference's names and shapes. */
export class TinyModel {
  readonly config: TransformerConfig;
  readonly #tied: boolean;
  readonly #model: EngineModel;
  readonly #parameters: ReadonlyMap<string, Tensor>;

  private constructor(model: EngineModel, tied: boolean) {
    this.config = JSON.parse(model.configJson()) as TransformerConfig;
    this.#tied = tied;
    this.#model = model;
    model.setTrainable(true);
    this.#parameters = new Map(model.parameterNames().map((name) => [name, wrap(model.parameter(name))]));
  }

  /**
   * Random weights as the configuration says, those that write to the residual stream scaled by 1/√(2·layers) (Radford
   * et al., "Language models are unsupervised multitask learners", 2019).
   *
   * A head that is not tied starts as the embedding with its axes in reverse order: as unlike the embedding as random
   * numbers, yet one map takes every token from the one to the other, so that copying is learned for all tokens at once.
   */
  static random({ config, tied, sinusoids: waves }: Architecture, seed: number): TinyModel {
    const model = new TinyModel(engine().createModel(JSON.stringify({ ...config, seed }), {}), tied);
    const { n_layers, n_ctx, d_model } = model.config;
    noGrad(() =>
      tidy(() => {
        const scale = 1 / Math.sqrt(2 * n_layers);
        for (const [name, weight] of model.#parameters) {
          if (/\.(W_O|W_out)$/.test(name)) weight.assign_(weight.mul(scale));
        }
        if (waves) model.parameter("pos_embed.W_pos").assign_(sinusoids(n_ctx, d_model));
        if (tied) model.tieHead();
        else model.#setHead(model.parameter("embed.W_E").flip(1));
      }),
    );
    return model;
  }

  /** Reads a published model, trainable. */
  static async load(directory: string, { tied }: Pick<Architecture, "tied">): Promise<TinyModel> {
    const found = chooseSource(directory, {}, false);
    return new TinyModel(await readModel(found, { dtype: "float32" }), tied);
  }

  parameter(name: string): Tensor {
    const found = this.#parameters.get(name);
    if (found === undefined) throw new Error(`the model has no weight '${name}'`);
    return found;
  }

  /** Everything that is trained: a tied head follows the embedding, and has no bias. */
  trained(): [string, Tensor][] {
    return [...this.#parameters].filter(([name]) => !(this.#tied && name.startsWith("unembed.")));
  }

  #setHead(directions: Tensor): void {
    noGrad(() =>
      tidy(() => {
        this.parameter("unembed.W_U").assign_(directions.transpose(0, 1).contiguous());
      }),
    );
  }

  /** Copies the embedding to the head, if it is tied. */
  tieHead(): void {
    if (this.#tied) this.#setHead(this.parameter("embed.W_E"));
  }

  /** Adds a tied head's gradient to the embedding's, as if they were one weight. */
  tieGradients(): void {
    if (!this.#tied) return;
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

  #loss({ ids, batch }: Windows, options: Pick<ForwardRequest, "lossPerToken"> = {}): Tensor {
    const tokens = tensor(ids, { shape: [batch, ids.length / batch] });
    const { loss } = this.#model.forward({ input: handleOf(tokens), returnType: "loss", ...options });
    if (loss === null) throw new Error("the engine gave no loss");
    return wrap(loss);
  }

  /** Mean cross-entropy in nats over the next tokens of these windows, as they count. */
  loss(windows: Windows): Tensor {
    const { weights } = windows;
    if (weights === undefined) return this.#loss(windows);
    const losses = this.tokenLosses(windows);
    const counted = weights.reduce((sum, weight) => sum + weight, 0);
    return losses
      .mul(tensor(weights, { shape: losses.shape }))
      .sum()
      .div(counted);
  }

  /** Cross-entropy in nats of each next token: `[batch, window − 1]`, at its predecessor's position. */
  tokenLosses(windows: Windows): Tensor {
    return this.#loss(windows, { lossPerToken: true });
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
