/**
 * Trains `models/tiny` from nothing with hooklens' own gradients and optimizer, and publishes it.
 *
 * usage: npx tsx scripts/train-tiny.ts [--steps N] [--resume] [--help]
 *
 * Ctrl-C writes a checkpoint; `--resume` goes on from the last one. The text and the tokenizer must be there: run
 * `npx tsx scripts/tiny/tokenizer.ts` first after a change of the text, the text itself is fetched when needed.
 */
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { Command } from "commander";
import { baselines } from "./tiny/baselines.ts";
import { cacheDir, loadCorpus, modelDir } from "./tiny/corpus.ts";
import { curveCsv, curveSvg } from "./tiny/loss-curve.ts";
import { publishedConfig, TinyModel } from "./tiny/model.ts";
import { publish, roundToHalf } from "./tiny/publish.ts";
import { sampleText } from "./tiny/sample.ts";
import { loadTokenizer } from "./tiny/tokenizer.ts";
import { encodeChapters } from "./tiny/tokens.ts";
import { evaluate, type Settings, Trainer } from "./tiny/trainer.ts";

const options = new Command("train-tiny")
  .description("Train models/tiny from nothing and publish it.")
  .option("--steps <count>", "steps of the whole run", Number, 1800)
  .option("--batch <windows>", "windows a step", Number, 16)
  .option("--window <tokens>", "tokens a window", Number, 128)
  .option("--learning-rate <peak>", "highest learning rate", Number, 3e-3)
  .option("--seed <seed>", "seed of weights and batches", Number, 1611)
  .option("--resume", "go on from the last checkpoint", false)
  .option("--checkpoint-every <steps>", "steps between checkpoints", Number, 100)
  .option("--out <directory>", "where to write the weights and the loss curve", modelDir)
  .parse()
  .opts<{
    steps: number;
    batch: number;
    window: number;
    learningRate: number;
    seed: number;
    resume: boolean;
    checkpointEvery: number;
    out: string;
  }>();

const checkpoint = `${cacheDir}checkpoint.safetensors`;
const curveEvery = 10;

const config = publishedConfig();
const tokenizer = loadTokenizer();
const corpus = loadCorpus();
console.log("Encoding the text …");
const train = encodeChapters(corpus.train, tokenizer);
const validation = encodeChapters(corpus.validation, tokenizer);
const counted = baselines(train, validation, config.vocab_size);
console.log(`${train.ids.length} training tokens, ${validation.ids.length} validation tokens`);
for (const { name, loss } of counted) console.log(`${name} baseline: ${loss.toFixed(4)} nats a token`);

const settings: Settings = {
  model: config,
  seed: options.seed,
  steps: options.steps,
  batch: options.batch,
  window: options.window,
  peakLearningRate: options.learningRate,
  warmup: Math.ceil(options.steps / 20),
  weightDecay: 0.1,
  clip: 1,
};
const trainer = new Trainer(settings, train);
if (options.resume && existsSync(checkpoint)) {
  trainer.restore(checkpoint);
  console.log(`resumed at step ${trainer.step}`);
}

let interrupted = false;
process.once("SIGINT", () => {
  interrupted = true;
});

const bar = new SingleBar({
  format:
    "{bar} {percentage}% | step {value}/{total} | loss {loss} | validation {validation} | {rate} tokens/s | {eta_formatted} left",
  noTTYOutput: true,
  notTTYSchedule: 10_000,
});
const rate = () =>
  Math.round((trainer.step * options.batch * options.window) / Math.max(trainer.seconds, 1e-9)).toString();
let shownValidation = "–";
bar.start(settings.steps, trainer.step, { loss: "–", validation: shownValidation, rate: "–" });
let [sum, count] = [0, 0];
while (trainer.step < settings.steps && !interrupted) {
  const learningRate = trainer.learningRate;
  sum += trainer.takeStep();
  count++;
  const last = trainer.step === settings.steps;
  const saves = trainer.step % options.checkpointEvery === 0 || last;
  if (trainer.step % curveEvery === 0 || last) {
    const measured = saves ? trainer.evaluate(validation) : null;
    trainer.curve.push({ step: trainer.step, train: sum / count, validation: measured, learningRate });
    shownValidation = measured?.toFixed(4) ?? shownValidation;
    bar.update(trainer.step, { loss: (sum / count).toFixed(4), validation: shownValidation, rate: rate() });
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
publish(trainer.model, options.out);
writeFileSync(`${options.out}/loss.csv`, curveCsv(trainer.curve));
writeFileSync(`${options.out}/loss.svg`, curveSvg(trainer.curve, counted));

const reloaded = evaluate(await TinyModel.load(options.out), validation);
if (Math.abs(reloaded - published) > 1e-5) {
  throw new Error(`the published model has validation loss ${reloaded}, the trained one ${published}`);
}
const parameters = trainer.model.trained().reduce((total, [, weight]) => total + weight.size, 0);
const bits = (published * validation.ids.length) / Math.LN2 / validation.characters;
console.log(`parameters: ${parameters}; file: ${statSync(`${options.out}/model.safetensors`).size} bytes`);
console.log(
  `training: ${trainer.step} steps of ${options.batch * options.window} tokens in ${trainer.seconds.toFixed(0)} s`,
);
console.log(
  `validation loss: ${full.toFixed(4)} as trained, ${published.toFixed(4)} as published (float16), ${reloaded.toFixed(4)} read back`,
);
console.log(`that is ${bits.toFixed(3)} bits a character`);
for (const prompt of ["And God said", "In the beginning", "The LORD is my", "Then Jesus answered"]) {
  console.log(
    `\n${sampleText(trainer.model, tokenizer, prompt, { tokens: 60, temperature: 0.7, topK: 40, seed: 1 })}`,
  );
}
rmSync(checkpoint, { force: true });
