/** Writes a trained model's weights as float16. */
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { writeStateDict } from "../../ts/hooks/state-file.ts";
import { noGrad, tidy } from "../../ts/tensor/index.ts";
import type { TinyModel } from "./model.ts";
import type { Recipe } from "./recipes.ts";

/** Rounds the model's own weights to float16, so that what is measured is what is published. */
export function roundToHalf(model: TinyModel): void {
  noGrad(() =>
    tidy(() => {
      for (const [, weight] of model.trained()) weight.assign_(weight.to("float16").to("float32"));
    }),
  );
  model.tieHead();
}

/** Writes `model.safetensors` into `directory`, with the files of the recipe's folder that make it a model's folder. */
export function publish(
  model: TinyModel,
  { stateOf, directory: home }: Pick<Recipe, "stateOf" | "directory">,
  directory: string,
): void {
  mkdirSync(directory, { recursive: true });
  for (const file of readdirSync(home)) {
    const [from, to] = [join(home, file), join(directory, file)];
    if (file.endsWith(".json") && !existsSync(to)) copyFileSync(from, to);
  }
  noGrad(() =>
    tidy(() => {
      const half = [...stateOf(model)].map(
        ([name, value]) => [name, value.detach().contiguous().to("float16")] as const,
      );
      // transformers refuses a file that does not say which framework wrote it.
      writeStateDict(join(directory, "model.safetensors"), new Map(half), { format: "pt" });
    }),
  );
}
