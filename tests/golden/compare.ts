import { HookedTransformer, HooklensError, noGrad, setLogger, type Tensor, tidy } from "../../ts/index.ts";
import type { Stored } from "../support/golden.ts";
import { type Difference, difference, type Tolerance } from "./closeness.ts";
import { type Fixture, idRows, numbers, readFixture } from "./fixture.ts";
import { compareGreedy } from "./greedy.ts";

/** What came of one fixture. */
export interface Outcome {
  readonly fixture: string;
  /** `refused`: not implemented and said so, which a user can act on; anything else that is not `ok` is a failure. */
  readonly status: "ok" | "refused" | "failed";
  /** How many tensors were compared. */
  readonly compared: number;
  /** The tensor nearest to, or furthest beyond, what is allowed. */
  readonly worst: Difference | undefined;
  /** The tensors beyond what is allowed, furthest first. */
  readonly failing: readonly Difference[];
  readonly message: string | undefined;
}

/** Tensors of `expected.safetensors` that are not hook points. */
const NOT_HOOKS = new Set(["tokens", "labels", "logits", "loss", "loss_per_token"]);

class Comparison {
  readonly #differences: Difference[] = [];

  add(
    name: string,
    ours: Tensor,
    reference: Stored,
    tolerance: Tolerance,
    counts?: (index: number) => boolean,
  ): void {
    const sameShape = ours.shape.join() === reference.shape.join();
    const values = sameShape ? ours.toFloat32Array() : [];
    this.#differences.push(difference(name, values, numbers(reference), tolerance, counts));
  }

  include(differences: readonly Difference[]): void {
    this.#differences.push(...differences);
  }

  get count(): number {
    return this.#differences.length;
  }

  /** The furthest from the reference first. */
  get ranked(): readonly Difference[] {
    return this.#differences.toSorted((a, b) => b.share - a.share);
  }
}

function hookNames(expected: ReadonlyMap<string, Stored>): string[] {
  return [...expected.keys()].filter(
    (key) => !NOT_HOOKS.has(key) && !key.includes("/") && !/_grad(_sum)?$/.test(key),
  );
}

/** Logits, loss, every activation and every gradient of one recorded run. */
function compareRun(
  seen: Comparison,
  model: HookedTransformer,
  expected: ReadonlyMap<string, Stored>,
  { tolerances }: Fixture,
  tokens: number[][],
  label = "",
): void {
  const names = hookNames(expected);
  const { logits, loss } = noGrad(() => model.forward(tokens, { returnType: "both" }));
  const wantLogits = expected.get("logits");
  const wantLoss = expected.get("loss");
  if (wantLogits) seen.add(`${label}logits`, logits, wantLogits, tolerances.logits);
  if (wantLoss) seen.add(`${label}loss`, loss, wantLoss, tolerances.activation);
  const namesFilter = names.map((name) => model.hookPoint(name));
  const inclBwd = [...expected.keys()].some((key) => key.endsWith("_grad"));
  const [, cache] = model.runWithCache(tokens, { returnType: "loss", inclBwd, namesFilter });
  for (const name of names) {
    const want = expected.get(name);
    const value = cache.get(name);
    const isPattern = name.endsWith("hook_pattern");
    if (want)
      seen.add(`${label}${name}`, value, want, isPattern ? tolerances.pattern : tolerances.activation);
    // The reference's `_grad` of a point that fires several times holds one firing only; the sum is the gradient.
    const gradient = expected.get(`${name}_grad_sum`) ?? expected.get(`${name}_grad`);
    // Where the firings have no sum, the reference kept the one of the query input.
    const key = cache.has(`${name}_grad`) ? `${name}_grad` : `${name}_q_grad`;
    if (gradient) seen.add(`${label}${key}`, cache.get(key), gradient, tolerances.gradient);
  }
}

function compareInterventions(
  seen: Comparison,
  model: HookedTransformer,
  fixture: Fixture,
  tokens: number[][],
): void {
  for (const [name, want] of fixture.interventions) {
    tidy(() => {
      const logits = model.runWithHooks(tokens, { fwdHooks: { [name]: (x: Tensor) => x.mul(0.5) } });
      seen.add(`0.5 × ${name}`, logits, want, fixture.tolerances.logits);
    });
  }
}

/** Weights and activations after processing, whether it is done while loading or afterwards. */
async function compareProcessed(
  seen: Comparison,
  model: HookedTransformer,
  fixture: Fixture,
  tokens: number[][],
): Promise<void> {
  if (fixture.processed.size === 0) return;
  const { processing, processed, processedWeights } = fixture;
  using loaded = await HookedTransformer.fromPretrained(fixture.folder, {
    tokenizer: null,
    process: processing,
  });
  for (const [when, changed] of [
    ["processed: ", loaded],
    ["processed later: ", model.processWeights(processing)],
  ] as const) {
    tidy(() => {
      for (const [name, want] of processedWeights) {
        seen.add(`${when}${name}`, changed.parameter(name), want, fixture.tolerances.activation);
      }
      compareRun(seen, changed, processed, fixture, tokens, when);
    });
  }
}

/** A batch with a padded row: positions count from the mask, as in generation. */
function comparePadded(seen: Comparison, model: HookedTransformer, { expected, tolerances }: Fixture): void {
  const tokens = expected.get("padded/tokens");
  const mask = expected.get("padded/attention_mask");
  const want = expected.get("padded/logits_mask_positions") ?? expected.get("padded/logits");
  if (!tokens || !mask || !want) return;
  const kept = numbers(mask);
  const width = want.shape.at(-1) ?? 1;
  const logits = model.forward(idRows(tokens), { attentionMask: idRows(mask) });
  seen.add("padded/logits", logits, want, tolerances.logits, (i) => kept[Math.floor(i / width)] === 1);
}

function mayRefuse(error: HooklensError, fixture: Fixture): boolean {
  if (error.code === "unsupported_architecture") return true;
  return error.code === "unsupported_config" && fixture.refusable.includes(String(error.details["key"]));
}

/** Models without LayerNorm are told that their weights cannot be centred; the reference's were not either. */
async function silently(body: () => Promise<void>): Promise<void> {
  const before = setLogger({ warn: () => {} });
  try {
    await body();
  } finally {
    setLogger(before);
  }
}

/** Runs one fixture directory through the public API. */
export async function compareFixture(folder: string): Promise<Outcome> {
  const fixture = readFixture(folder);
  const seen = new Comparison();
  const outcome = (status: Outcome["status"], message?: string): Outcome => {
    const ranked = seen.ranked;
    const failing = ranked.filter(({ share }) => !(share <= 1));
    return { fixture: fixture.name, status, compared: seen.count, worst: ranked[0], failing, message };
  };
  try {
    const model = await HookedTransformer.fromPretrained(folder, { tokenizer: null });
    const stored = fixture.expected.get("tokens");
    if (!stored) return outcome("failed", "the fixture has no tokens");
    const tokens = idRows(stored);
    tidy(() => compareRun(seen, model, fixture.expected, fixture, tokens));
    const perToken = fixture.expected.get("loss_per_token");
    if (perToken) {
      const loss = noGrad(() => model.forward(tokens, { returnType: "loss", lossPerToken: true }));
      seen.add("loss_per_token", loss, perToken, fixture.tolerances.activation);
    }
    if (fixture.options.size > 0) {
      tidy(() => compareRun(seen, model, fixture.options, fixture, tokens, "options: "));
    }
    noGrad(() => compareInterventions(seen, model, fixture, tokens));
    noGrad(() => comparePadded(seen, model, fixture));
    seen.include(await compareGreedy(model, folder));
    // Last, as it changes the model.
    await silently(() => compareProcessed(seen, model, fixture, tokens));
  } catch (error) {
    if (!(error instanceof HooklensError)) throw error;
    return outcome(mayRefuse(error, fixture) ? "refused" : "failed", `${error.message} (${error.code})`);
  }
  return outcome(seen.ranked.every(({ share }) => share <= 1) ? "ok" : "failed");
}

/** One line on an outcome, and one for each tensor beyond what is allowed. */
export function describeOutcome({ fixture, status, compared, worst, failing, message }: Outcome): string {
  const numbersOf = worst ? `${compared} tensors, worst ${describeDifference(worst)}` : "";
  const line = [status.padEnd(7), fixture.padEnd(24), numbersOf, message ?? ""]
    .filter(Boolean)
    .join("  ")
    .trimEnd();
  return [line, ...failing.map((difference) => `          ${describeDifference(difference)}`)].join("\n");
}

function describeDifference({ name, error, share }: Difference): string {
  return `${name}: ${error.toExponential(1)} (${(100 * share).toFixed(0)} % of what is allowed)`;
}
