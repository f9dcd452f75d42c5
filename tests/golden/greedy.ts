import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type HookedTransformer, noGrad } from "../../ts/index.ts";
import { type Difference, difference } from "./closeness.ts";

interface Expected {
  readonly prompt: number[];
  /** Prompt and what Hugging Face wrote by the highest logit: the truth, whatever else the file holds. */
  readonly hf_greedy: number[];
  /** What it wrote by computing the whole sequence at every step, where that was tried too. */
  readonly hf_greedy_use_cache_False?: number[];
}

/**
 * Rotations of all positions that change with the length of the sequence. Hugging Face's cache keeps keys that were
 * rotated when the sequence was shorter; here a cache never changes what is written.
 */
const LENGTH_DEPENDENT: readonly unknown[] = ["dynamic", "longrope"];

/** Ids are the same or they are not. */
const SAME = { absolute: 0.5, relative: 0 };
/** What rounding may do to the logits of a forward in pieces. */
const ROUNDING = { absolute: 1e-5, relative: 1e-5 };

/**
 * The tokens of a fixture, written with and without a cache, and the logits that they were chosen from beside those of a
 * forward over all that was there then. Nothing where the fixture has no tokens.
 */
export async function compareGreedy(model: HookedTransformer, folder: string): Promise<Difference[]> {
  const file = join(folder, "expected_generate.json");
  if (!existsSync(file)) return [];
  const { prompt, hf_greedy, hf_greedy_use_cache_False } = JSON.parse(readFileSync(file, "utf8")) as Expected;
  const lengthDependent = LENGTH_DEPENDENT.includes(model.cfg.rope_parameters?.["rope_type"]);
  const written = (lengthDependent ? hf_greedy_use_cache_False : undefined) ?? hf_greedy;
  const maxNewTokens = written.length - prompt.length;
  const differences: Difference[] = [];
  for (const usePastKvCache of [true, false]) {
    const { sequences, logits } = await model.generate(prompt, {
      maxNewTokens,
      usePastKvCache,
      doSample: false,
      stopAtEos: false,
      outputLogits: true,
    });
    const how = usePastKvCache ? "with a cache" : "without a cache";
    differences.push(
      difference(`greedy tokens ${how}`, sequences.to("float32").toFloat32Array(), written, SAME),
    );
    for (const [step, own] of logits.entries()) {
      const whole = noGrad(() => model.forward(written.slice(0, prompt.length + step)));
      const expected = whole.get(0, -1).toFloat32Array();
      differences.push(
        difference(`logits of step ${step + 1} ${how}`, own.toFloat32Array(), expected, ROUNDING),
      );
    }
  }
  return differences;
}
