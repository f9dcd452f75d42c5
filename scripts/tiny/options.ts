/** The command line of `scripts/train-tiny.ts`. */
import { Command, InvalidArgumentError, Option } from "commander";
import { type Recipe, type RecipeName, recipeNames, recipes } from "./recipes.ts";

/** What to train and how, everything filled in. */
export interface TrainingOptions {
  readonly model: RecipeName;
  readonly steps: number;
  readonly batch: number;
  readonly windows: readonly number[];
  readonly repeats: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly resume: boolean;
  readonly checkpointEvery: number;
  readonly out: string;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("expected a number from 1 on");
  return value;
}

function lengths(text: string): number[] {
  const stages = text.split(",").map(count);
  if (stages.some((length, i) => length < 2 || length < (stages[i - 1] ?? 0))) {
    throw new InvalidArgumentError("expected lengths from 2 on that never shrink, such as 32,64,128");
  }
  return stages;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("expected a number above 0");
  return value;
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError("expected a number from 0 to 1");
  }
  return value;
}

function described(name: RecipeName): string {
  const { summary, steps, batch, windows, repeats, learningRate, seed }: Recipe = recipes[name];
  return [
    `  ${name}: ${summary}`,
    `    --steps ${steps} --batch ${batch} --windows ${windows} --repeats ${repeats} --learning-rate ${learningRate} --seed ${seed}`,
  ].join("\n");
}

/** Reads the command line; what is not given comes from the model's recipe. */
export function parseOptions(argv: readonly string[] = process.argv): TrainingOptions {
  const given = new Command("train-tiny")
    .description("Train a model of models/ from nothing and publish it.")
    .addOption(new Option("--model <name>", "which model").choices(recipeNames).default("tiny"))
    .option("--steps <count>", "steps of the whole run", count)
    .option("--batch <rows>", "rows a step when rows are longest", count)
    .option("--windows <tokens,…>", "tokens a row, stage by stage", lengths)
    .option("--repeats <share>", "share of the rows that are random tokens repeated instead of text", share)
    .option("--learning-rate <peak>", "highest learning rate", positive)
    .option("--seed <seed>", "seed of weights and batches", count)
    .option("--resume", "go on from the last checkpoint", false)
    .option("--checkpoint-every <steps>", "steps between checkpoints and measurements", count, 100)
    .option("--out <directory>", "where to write the model (default: its folder in models/)")
    .addHelpText(
      "after",
      `\nModels and what they are trained with:\n${recipeNames.map(described).join("\n")}`,
    )
    .parse(argv)
    .opts<Partial<TrainingOptions> & Pick<TrainingOptions, "model" | "resume" | "checkpointEvery">>();
  const { directory, steps, batch, windows, repeats, learningRate, seed }: Recipe = recipes[given.model];
  return { steps, batch, windows, repeats, learningRate, seed, out: directory, ...given };
}
