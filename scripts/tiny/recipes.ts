/** The models that this repository trains: what they are made of, what they read, and for how long. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { TransformerConfig } from "../../ts/models/transformer-config.ts";
import type { Tensor } from "../../ts/tensor/index.ts";
import { type Gpt2Config, gpt2Architecture, gpt2State } from "./gpt2.ts";
import type { Architecture, TinyModel } from "./model.ts";

/** How a model of `models/` comes about. */
export interface Recipe {
  readonly summary: string;
  /** Where the model is published; its configuration and its tokenizer are there already. */
  readonly directory: string;
  readonly architecture: Architecture;
  /** The weights as they are stored. */
  readonly stateOf: (model: TinyModel) => ReadonlyMap<string, Tensor>;
  /** Share of the rows of a batch that are random tokens repeated; the others are text. */
  readonly repeats: number;
  readonly steps: number;
  /** Rows of a step whose rows are longest. */
  readonly batch: number;
  /** Tokens of a row, the start token included, stage by stage. */
  readonly windows: readonly number[];
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
  /** What to continue, for looking at. */
  readonly prompts: readonly string[];
}

const folder = (name: string): string => fileURLToPath(new URL(`../../models/${name}/`, import.meta.url));
const configOf = (name: string, file: string): object =>
  JSON.parse(readFileSync(`${folder(name)}${file}`, "utf8")) as object;

export const recipes = {
  tiny: {
    summary: "a GPT-2 of 4 layers that writes like its book",
    directory: folder("tiny"),
    architecture: gpt2Architecture(configOf("tiny", "config.json") as Gpt2Config),
    stateOf: gpt2State,
    repeats: 0,
    steps: 1800,
    batch: 16,
    windows: [128],
    learningRate: 3e-3,
    weightDecay: 0.1,
    seed: 1611,
    prompts: ["And God said", "In the beginning", "The LORD is my", "Then Jesus answered"],
  },
  induction: {
    summary: "2 layers of attention alone that have induction heads",
    directory: folder("induction"),
    architecture: {
      tied: false,
      sinusoids: true,
      config: configOf("induction", "tl_config.json") as Partial<TransformerConfig>,
    },
    stateOf: (model) => new Map(model.trained()),
    repeats: 0.5,
    steps: 3600,
    batch: 16,
    windows: [32, 64, 128],
    learningRate: 2e-3,
    weightDecay: 0.03,
    seed: 1611,
    prompts: ["And God said", "Zelophehad went up, and Zelo"],
  },
} as const satisfies Record<string, Recipe>;

export type RecipeName = keyof typeof recipes;
export const recipeNames = Object.keys(recipes) as RecipeName[];
