/** Rewriting weights without changing what a model computes: what to ask for, and what was done. */

import { hooklensError } from "../engine/errors.ts";
import { checkFlags, checkKeys } from "../hooks/call-options.ts";
import { describe } from "../tensor/base.ts";

/**
 * Ways of rewriting weights so that they are easier to read. None changes log-probabilities, beyond rounding; logits
 * move by one number a position with {@link ProcessingSteps.centerUnembed}. Activations change: that is what they are for.
 *
 * A step that would change what a given model computes is left out with a warning (see {@link setLogger}).
 */
export interface ProcessingSteps {
  /**
   * Weights and biases of norms go into the matrices that read from them: `LN` becomes `LNPre`, `RMS` becomes `RMSPre`,
   * and a direction in the residual stream means the same to every head and neuron.
   */
  readonly foldLn?: boolean;
  /** Whatever is written to the residual stream gets mean 0, which LayerNorm subtracts anyway. */
  readonly centerWritingWeights?: boolean;
  /** The unembedding gets mean 0 over the vocabulary: a logit then says how much a token stands out. */
  readonly centerUnembed?: boolean;
  /** The values' biases go into the bias of attention's output: what a head moves is then only what it attends to. */
  readonly foldValueBiases?: boolean;
  /**
   * Each head's `W_Q`, `W_K` and its `W_V`, `W_O` become orthogonal factors of the same products, ordered by singular
   * value. Not among the usual steps. Throws `not_supported_on_this_model` for rotary models and for heads that share
   * keys and values.
   */
  readonly refactorFactoredAttnMatrices?: boolean;
}

/** The name of one of the {@link ProcessingSteps}. */
export type ProcessingStep = keyof ProcessingSteps;

/**
 * What to do: `true` for the usual steps (all but refactoring attention), or an object with those that are to be done,
 * such as `{ foldLn: true }`; what it does not name is not done.
 */
export type ProcessingOptions = boolean | ProcessingSteps;

/** Which steps were done to a model's weights. */
export type ProcessingRecord = Readonly<Record<ProcessingStep, boolean>>;

const USUAL: readonly ProcessingStep[] = [
  "foldLn",
  "centerWritingWeights",
  "centerUnembed",
  "foldValueBiases",
];
const ALL: readonly ProcessingStep[] = [...USUAL, "refactorFactoredAttnMatrices"];
const KEYS: ReadonlySet<string> = new Set(ALL);

/** The names of the steps that were asked for. Internal. */
export function stepsOf(what: string, asked: ProcessingOptions | undefined): readonly ProcessingStep[] {
  if (asked === undefined || asked === false) return [];
  if (asked === true) return USUAL;
  if (typeof asked !== "object" || asked === null) {
    throw hooklensError("invalid_argument", `${what}: expected true or an object, got ${describe(asked)}`);
  }
  checkKeys(what, asked, [KEYS]);
  checkFlags({ ...asked });
  const steps = ALL.filter((step) => asked[step] === true);
  if (steps.length > 0) return steps;
  throw hooklensError(
    "invalid_argument",
    `${what}: an object names the steps to do, such as { foldLn: true }; true stands for ${USUAL.join(", ")}`,
  );
}

/** A record of the steps of these names. Internal. */
export function recordOf(done: readonly string[]): ProcessingRecord {
  const record = Object.fromEntries(ALL.map((step) => [step, done.includes(step)]));
  return Object.freeze(record as Record<ProcessingStep, boolean>);
}
