/**
 * A training run that can be interrupted: everything that decides its future is in the checkpoint, so that a resumed run
 * takes the same steps as an uninterrupted one.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { readStateDict, writeStateDict } from "../../ts/hooks/state-file.ts";
import { noGrad, type Tensor, tensor, tidy } from "../../ts/tensor/index.ts";
import { AdamW } from "../../ts/train/adamw.ts";
import { clipGradients } from "../../ts/train/clip-gradients.ts";
import { warmupCosine } from "../../ts/train/schedule.ts";
import { type Architecture, TinyModel } from "./model.ts";
import { Random } from "./random.ts";
import { drawRepeats } from "./repeats.ts";
import { drawWindows, joinWindows, type TokenStream, type Windows, walkWindows } from "./tokens.ts";

/** What a run is made of. Two runs with the same settings on the same text are the same run. */
export interface Settings {
  readonly architecture: Architecture;
  readonly seed: number;
  readonly steps: number;
  /** Rows of a step whose rows are longest. */
  readonly batch: number;
  /** Share of the rows that are random tokens repeated; the others are text. */
  readonly repeats: number;
  /**
   * Tokens of a row, the start token included, stage by stage, the longest last: the run is cut into equally many steps
   * for each. Stages of shorter rows have more of them, so that every step reads as many tokens (Press, Smith, Lewis,
   * "Shortformer: better language modeling using shorter inputs", 2020).
   */
  readonly windows: readonly number[];
  readonly peakLearningRate: number;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly clip: number;
}

/** A row of the loss curve. */
export interface CurvePoint {
  /** Steps taken. */
  readonly step: number;
  /** Mean training loss since the row before, nats a token. */
  readonly train: number;
  /** Losses on what is not trained on, by name, where they were measured. */
  readonly measured: Readonly<Record<string, number>> | null;
  readonly learningRate: number;
}

/** The part of a checkpoint that is not tensors. */
interface Progress {
  readonly settings: Settings;
  readonly step: number;
  readonly random: number;
  readonly seconds: number;
  readonly curve: readonly CurvePoint[];
  readonly optimizerSteps: Readonly<Record<string, number>>;
}

export class Trainer {
  readonly settings: Settings;
  readonly model: TinyModel;
  readonly curve: CurvePoint[] = [];
  /** Steps taken so far. */
  step = 0;
  /** Seconds spent on steps so far, over all sessions of the run. */
  seconds = 0;
  readonly #train: TokenStream;
  readonly #optimizer: AdamW;
  readonly #random: Random;

  constructor(settings: Settings, train: TokenStream) {
    this.settings = settings;
    this.#train = train;
    this.#random = new Random(settings.seed);
    this.model = TinyModel.random(settings.architecture, settings.seed);
    const decays = ([name]: readonly [string, Tensor]): boolean => /\.W_(Q|K|V|O|in|out)$/.test(name);
    const trained = this.model.trained();
    this.#optimizer = new AdamW(
      [
        { parameters: trained.filter(decays), weightDecay: settings.weightDecay },
        { parameters: trained.filter((item) => !decays(item)), weightDecay: 0 },
      ],
      { lr: settings.peakLearningRate, betas: [0.9, 0.95] },
    );
  }

  get learningRate(): number {
    const { peakLearningRate: peak, warmup, steps } = this.settings;
    return warmupCosine(this.step, { peak, warmup, steps, floor: 0.1 });
  }

  /** The rows of the next step. */
  #draw(): Windows {
    const { steps, batch, repeats, windows } = this.settings;
    const longest = windows.at(-1) ?? this.model.config.n_ctx;
    const window = windows[Math.floor((this.step * windows.length) / steps)] ?? longest;
    const rows = Math.round((batch * longest) / window);
    const repeated = Math.round(rows * repeats);
    const text = drawWindows(this.#train, this.#random, rows - repeated, window);
    if (repeated === 0) return text;
    return joinWindows(text, drawRepeats(this.#random, repeated, window, this.model.config.d_vocab));
  }

  /** One step on a fresh batch; gives its loss. */
  takeStep(): number {
    const began = performance.now();
    const loss = tidy(() => {
      const loss = this.model.loss(this.#draw());
      loss.backward();
      this.model.tieGradients();
      const norm = clipGradients(
        this.model.trained().map(([, parameter]) => parameter),
        this.settings.clip,
      );
      if (!Number.isFinite(norm)) throw new Error(`step ${this.step}: the gradient's norm is ${norm}`);
      this.#optimizer.lr = this.learningRate;
      this.#optimizer.step();
      this.#optimizer.zeroGrad();
      this.model.tieHead();
      return loss.item();
    });
    this.step++;
    this.seconds += (performance.now() - began) / 1000;
    return loss;
  }

  /** Mean loss over every token of `stream`, nats a token. */
  evaluate(stream: TokenStream): number {
    return evaluate(this.model, stream);
  }

  /** Writes everything that the rest of the run depends on, replacing the file in one step. */
  save(path: string): void {
    const { tensors, steps } = this.#optimizer.stateDict();
    const state = new Map<string, Tensor>();
    for (const [name, parameter] of this.model.trained()) state.set(`model.${name}`, parameter);
    for (const [name, moment] of tensors) state.set(`optimizer.${name}`, moment);
    const progress: Progress = {
      settings: this.settings,
      step: this.step,
      random: this.#random.state,
      seconds: this.seconds,
      curve: this.curve,
      optimizerSteps: steps,
    };
    // Text as a tensor of bytes: what is read back must come from the same file as the weights.
    using bytes = tensor(new Uint8Array(Buffer.from(JSON.stringify(progress))));
    state.set("progress", bytes);
    mkdirSync(dirname(path), { recursive: true });
    writeStateDict(path, state);
  }

  /** Goes on where {@link save} was called. Throws if the settings are others. */
  restore(path: string): void {
    const state = readStateDict(path);
    try {
      const bytes = state.get("progress");
      if (bytes === undefined) throw new Error(`${path} is not a checkpoint of a training run`);
      const progress = JSON.parse(Buffer.from(bytes.toTypedArray() as Uint8Array).toString()) as Progress;
      if (JSON.stringify(progress.settings) !== JSON.stringify(this.settings)) {
        throw new Error(`${path} is of another run: ${JSON.stringify(progress.settings)}`);
      }
      noGrad(() => {
        for (const [name, parameter] of this.model.trained()) {
          const saved = state.get(`model.${name}`);
          if (saved === undefined) throw new Error(`${path} lacks the weight ${name}`);
          parameter.assign_(saved);
        }
      });
      this.model.tieHead();
      const moments = [...state].filter(([name]) => name.startsWith("optimizer."));
      this.#optimizer.loadStateDict({
        tensors: new Map(moments.map(([name, value]) => [name.slice("optimizer.".length), value])),
        steps: progress.optimizerSteps,
      });
      this.step = progress.step;
      this.seconds = progress.seconds;
      this.#random.state = progress.random;
      this.curve.splice(0, this.curve.length, ...progress.curve);
    } finally {
      for (const value of state.values()) value.dispose();
    }
  }
}

/** Mean loss of a model over every token of `stream`, nats a token. */
export function evaluate(model: TinyModel, stream: TokenStream): number {
  const window = model.config.n_ctx;
  let [sum, rows] = [0, 0];
  for (const windows of walkWindows(stream, 8, window)) {
    sum += windows.batch * noGrad(() => tidy(() => model.loss(windows).item()));
    rows += windows.batch;
  }
  return sum / rows;
}
