/**
 * Trains a model of `models/` from nothing with hooklens' own gradients and optimizer, and publishes it.
 *
 * usage: npx tsx scripts/train-tiny.ts [--model tiny|induction] [--steps N] [--resume] [--help]
 *
 * Ctrl-C writes a checkpoint; `--resume` goes on from the last one. The text and the tokenizer must be there: run
 * `npx tsx scripts/tiny/tokenizer.ts` first after a change of the text, the text itself is fetched when needed.
 */
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { HookedTransformer } from "../ts/node.ts";
import { baselines } from "./tiny/baselines.ts";
import { cacheDir, loadCorpus } from "./tiny/corpus.ts";
import { headScores, scoredSequences } from "./tiny/heads.ts";
import { curveCsv, curveSvg } from "./tiny/loss-curve.ts";
import { TinyModel } from "./tiny/model.ts";
import { parseOptions } from "./tiny/options.ts";
import { publish, roundToHalf } from "./tiny/publish.ts";
import { type Recipe, recipes } from "./tiny/recipes.ts";
import { halfLosses, repeatedOnce } from "./tiny/repeats.ts";
import { sampleText } from "./tiny/sample.ts";
import { loadTokenizer } from "./tiny/tokenizer.ts";
import { encodeChapters } from "./tiny/tokens.ts";
import { evaluate, type Settings, Trainer } from "./tiny/trainer.ts";

const options = parseOptions();
const recipe: Recipe = recipes[options.model];
const checkpoint = `${cacheDir}${options.model}-checkpoint.safetensors`;
const curveEvery = 10;
const longest = Math.max(...options.windows);

const tokenizer = loadTokenizer();
const corpus = loadCorpus();
console.log("Encoding the text …");
const train = encodeChapters(corpus.train, tokenizer);
const validation = encodeChapters(corpus.validation, tokenizer);

const settings: Settings = {
  architecture: recipe.architecture,
  seed: options.seed,
  steps: options.steps,
  batch: options.batch,
  repeats: options.repeats,
  windows: options.windows,
  peakLearningRate: options.learningRate,
  warmup: Math.ceil(options.steps / 20),
  weightDecay: recipe.weightDecay,
  clip: 1,
};
const trainer = new Trainer(settings, train);
const vocabulary = trainer.model.config.d_vocab;
const counted = baselines(train, validation, vocabulary);
console.log(`${train.ids.length} training tokens, ${validation.ids.length} validation tokens`);
for (const { name, loss } of counted) console.log(`${name} baseline: ${loss.toFixed(4)} nats a token`);
if (options.resume && existsSync(checkpoint)) {
  trainer.restore(checkpoint);
  console.log(`resumed at step ${trainer.step}`);
}

const scored = repeatedOnce(scoredSequences.seed, scoredSequences.batch, scoredSequences.length, vocabulary);
function measure(): Record<string, number> {
  const text = trainer.evaluate(validation);
  return options.repeats === 0
    ? { validation: text }
    : { validation: text, repeated: halfLosses(trainer.model, scored).second };
}

let interrupted = false;
process.once("SIGINT", () => {
  interrupted = true;
});

const bar = new SingleBar({
  format:
    "{bar} {percentage}% | step {value}/{total} | loss {loss} | {measured} | {rate} tokens/s | {eta_formatted} left",
  noTTYOutput: true,
  notTTYSchedule: 10_000,
});
const rate = () =>
  Math.round((trainer.step * options.batch * longest) / Math.max(trainer.seconds, 1e-9)).toString();
let shown = "validation –";
bar.start(settings.steps, trainer.step, { loss: "–", measured: shown, rate: "–" });
let [sum, count] = [0, 0];
while (trainer.step < settings.steps && !interrupted) {
  const learningRate = trainer.learningRate;
  sum += trainer.takeStep();
  count++;
  const last = trainer.step === settings.steps;
  const saves = trainer.step % options.checkpointEvery === 0 || last;
  if (trainer.step % curveEvery === 0 || last) {
    const measured = saves ? measure() : null;
    trainer.curve.push({ step: trainer.step, train: sum / count, measured, learningRate });
    if (measured !== null) {
      shown = Object.entries(measured)
        .map(([name, loss]) => `${name} ${loss.toFixed(4)}`)
        .join(", ");
    }
    bar.update(trainer.step, { loss: (sum / count).toFixed(4), measured: shown, rate: rate() });
    [sum, count] = [0, 0];
    if (saves) trainer.save(checkpoint);
  }
  // Lets Ctrl-C be seen.
  await setImmediate();
}
bar.stop();

if (interrupted) {
  trainer.save(checkpoint);
  console.log(`\nstopped after step ${trainer.step}; go on with --resume`);
  process.exit(130);
}

const full = evaluate(trainer.model, validation);
roundToHalf(trainer.model);
const published = evaluate(trainer.model, validation);
publish(trainer.model, recipe, options.out);
writeFileSync(`${options.out}/loss.csv`, curveCsv(trainer.curve));
writeFileSync(`${options.out}/loss.svg`, curveSvg(trainer.curve, counted));

const reloaded = evaluate(await TinyModel.load(options.out, recipe.architecture), validation);
if (Math.abs(reloaded - published) > 1e-5) {
  throw new Error(`the published model has validation loss ${reloaded}, the trained one ${published}`);
}
const parameters = trainer.model.trained().reduce((total, [, weight]) => total + weight.size, 0);
const bits = (published * validation.ids.length) / Math.LN2 / validation.characters;
console.log(`parameters: ${parameters}; file: ${statSync(`${options.out}/model.safetensors`).size} bytes`);
console.log(
  `training: ${trainer.step} steps of ${options.batch * longest} tokens in ${trainer.seconds.toFixed(0)} s`,
);
console.log(
  `validation loss: ${full.toFixed(4)} as trained, ${published.toFixed(4)} as published (float16), ${reloaded.toFixed(4)} read back`,
);
console.log(`that is ${bits.toFixed(3)} bits a character`);
const { first, second } = halfLosses(trainer.model, scored);
console.log(
  `${scoredSequences.length} random tokens, then the same again: ${first.toFixed(3)}, then ${second.toFixed(3)} nats a token`,
);
for (const { layer, head, previous, induction } of headScores(
  await HookedTransformer.fromPretrained(options.out),
)) {
  console.log(
    `head ${layer}.${head}: previous token ${previous.toFixed(3)}, induction ${induction.toFixed(3)}`,
  );
}
for (const prompt of recipe.prompts) {
  console.log(
    `\n${sampleText(trainer.model, tokenizer, prompt, { tokens: 60, temperature: 0.7, topK: 40, seed: 1 })}`,
  );
}
rmSync(checkpoint, { force: true });
