/**
 * Interventions: edits as data. They are accepted wherever a hook function is, run inside the engine, are checked against
 * the point they are attached to before anything runs, and can be written to a file.
 *
 * ```ts
 * const model = HookedTransformer.fromConfig({
 *   n_layers: 3, d_model: 16, n_ctx: 8, d_head: 4, d_mlp: 64, d_vocab: 10, act_fn: "gelu",
 * });
 * const [, cache] = model.runWithCache([1, 2, 3]);
 * model.runWithHooks([4, 5, 6], {
 *   fwdHooks: {
 *     "blocks.1.attn.hook_z": zero().at({ head: 3 }),
 *     "blocks.2.hook_resid_pre": patchFrom(cache).at({ pos: -1 }),
 *   },
 * });
 * ```
 *
 * At a backward hook they edit the gradient.
 */

import { ActivationMap } from "../cache/activation-map.ts";
import type { EngineTensor } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { requireIterable, requireObject } from "../tensor/arguments.ts";
import { describe, handleOf, isTensor } from "../tensor/base.ts";
import type { Range } from "../tensor/indexing.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Positions along an axis: one, a list of them, or a range. */
export type EditPositions = number | readonly number[] | Range;

/**
 * Where an intervention edits, by the names of the point's axes (`pos`, `head`, `query`, …); `row` is the row of the
 * batch. Axes that are left out are edited whole.
 */
export type EditSelection = { readonly [axis: string]: EditPositions };

/** A place in a spec for a tensor: its number in {@link Intervention.tensors}. */
export interface TensorRef {
  /** Place in {@link Intervention.tensors}, from 0. */
  readonly tensor: number;
}

/**
 * A number that JSON has no sign for is spelled.
 * @inline
 */
type JsonNumber = number | "inf" | "-inf";

/** @inline */
type Operand = JsonNumber | TensorRef;

/** {@link zero} as JSON. */
export interface ZeroSpec {
  /** Which edit. */
  readonly kind: "zero";
}

/** {@link scale} as JSON. */
export interface ScaleSpec {
  /** Which edit. */
  readonly kind: "scale";
  /** What to multiply by. */
  readonly factor: Operand;
}

/** {@link add} and {@link set} as JSON. */
export interface ValueSpec {
  /** Which edit. */
  readonly kind: "add" | "set";
  /** What to add, or to put in place of the activation. */
  readonly value: Operand;
}

/** {@link clamp} as JSON. */
export interface ClampSpec {
  /** Which edit. */
  readonly kind: "clamp";
  /** Lower bound; null for none. */
  readonly min: JsonNumber | null;
  /** Upper bound; null for none. */
  readonly max: JsonNumber | null;
}

/** {@link projectOut} as JSON. */
export interface ProjectOutSpec {
  /** Which edit. */
  readonly kind: "project_out";
  /** A direction `[d]`, or several `[k, d]`. */
  readonly direction: TensorRef;
}

/** {@link meanAblate} over axes as JSON. */
export interface OwnMeanSpec {
  /** Which edit. */
  readonly kind: "mean_ablate";
  /** Names of the axes over which the mean is taken. */
  readonly over: readonly string[];
}

/** {@link meanAblate} by a mean computed before, as JSON. */
export interface GivenMeanSpec {
  /** Which edit. */
  readonly kind: "mean_ablate";
  /** The mean. */
  readonly mean: TensorRef;
}

/** {@link patchFrom} as JSON. */
export interface PatchSpec {
  /** Which edit. */
  readonly kind: "patch";
  /** The value from another run. */
  readonly source: TensorRef;
}

/** {@link knockOutEdges} as JSON. */
export interface KnockOutSpec {
  /** Which edit. */
  readonly kind: "knock_out_edges";
  /** Positions between which attention is stopped. */
  readonly edges: readonly (readonly [query: number, key: number])[];
  /** See {@link KnockOutOptions.renormalise}. */
  readonly renormalise: boolean;
}

/** Where an edit as JSON applies. */
export interface SelectedSpec {
  /** Everywhere if left out. */
  readonly at?: EditSelection;
}

/** What an intervention does, as JSON. */
export type InterventionSpec = (
  | ZeroSpec
  | ScaleSpec
  | ValueSpec
  | ClampSpec
  | ProjectOutSpec
  | OwnMeanSpec
  | GivenMeanSpec
  | PatchSpec
  | KnockOutSpec
) &
  SelectedSpec;

/** An edit as data. Made by {@link zero}, {@link scale} and their like. */
export class Intervention {
  readonly #spec: InterventionSpec;
  readonly #tensors: readonly Tensor[];
  /** Where `patchFrom` takes the value of the point it is attached to. */
  readonly #cache: ActivationMap | null;

  /** @internal */
  constructor(spec: InterventionSpec, tensors: readonly Tensor[] = [], cache: ActivationMap | null = null) {
    this.#spec = spec;
    this.#tensors = tensors;
    this.#cache = cache;
  }

  /** What it does, such as `scale`. */
  get kind(): InterventionSpec["kind"] {
    return this.#spec.kind;
  }

  /** The tensors that the JSON refers to by number. */
  get tensors(): readonly Tensor[] {
    return this.#tensors;
  }

  /** The same edit in fewer places. Narrowing twice narrows by both; an axis named again takes the later positions. */
  at(selection: EditSelection): Intervention {
    requireObject("at", "positions by axis, such as { head: 2 }", selection);
    return new Intervention(
      { ...this.#spec, at: { ...this.#spec.at, ...selection } },
      this.#tensors,
      this.#cache,
    );
  }

  /** This edit for the point of that name: values that come from a cache are looked up. */
  bind(name: string): Intervention {
    if (this.#cache === null) return this;
    return new Intervention(this.#spec, [this.#cache.get(name)]);
  }

  /** The edit as JSON; {@link tensors} go beside it. */
  toJSON(): InterventionSpec {
    if (this.#cache !== null) {
      throw hooklensError(
        "invalid_intervention",
        "patchFrom(cache) takes its value where it is attached: give it a name first, with bind(name), or use patchFrom(cache.get(name))",
      );
    }
    return this.#spec;
  }

  /**
   * An intervention from its JSON and tensors. What it does is checked when it is attached.
   *
   * @throws `invalid_intervention` for anything that {@link toJSON} would not give.
   */
  static fromJSON(json: unknown, tensors: readonly Tensor[] = []): Intervention {
    if (!isSpec(json)) {
      throw hooklensError(
        "invalid_intervention",
        `expected the JSON of an intervention, got ${describe(json)}`,
      );
    }
    requireIterable("Intervention.fromJSON", "a list of tensors", tensors);
    for (const value of Object.values(json)) {
      if (isRef(value) && tensors[value.tensor] === undefined) {
        throw hooklensError(
          "invalid_intervention",
          `intervention '${json.kind}' refers to tensor ${value.tensor}, of ${tensors.length} given`,
        );
      }
    }
    return new Intervention(json, tensors);
  }

  /** The form that the engine takes, for the point of that name. @internal */
  toEngine(name: string): { readonly json: string; readonly tensors: readonly EngineTensor[] } {
    const bound = this.bind(name);
    return { json: JSON.stringify(bound.toJSON()), tensors: bound.tensors.map(handleOf) };
  }

  /** `Intervention(scale at {"head":3})` */
  toString(): string {
    const { at, kind } = this.#spec;
    return `Intervention(${kind}${at === undefined ? "" : ` at ${JSON.stringify(at)}`})`;
  }

  /** Shows {@link toString} when logged. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

const KINDS: ReadonlySet<unknown> = new Set<InterventionSpec["kind"]>([
  "zero",
  "scale",
  "add",
  "set",
  "clamp",
  "project_out",
  "mean_ablate",
  "patch",
  "knock_out_edges",
]);

function isSpec(json: unknown): json is InterventionSpec {
  return typeof json === "object" && json !== null && "kind" in json && KINDS.has(json.kind);
}

function isRef(value: unknown): value is TensorRef {
  return typeof value === "object" && value !== null && "tensor" in value && typeof value.tensor === "number";
}

function jsonNumber(what: string, value: unknown): JsonNumber {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw hooklensError(
      "invalid_intervention",
      `${what}: expected a number or a Tensor, got ${describe(value)}`,
    );
  }
  if (Number.isFinite(value)) return value;
  return value > 0 ? "inf" : "-inf";
}

function operand(
  what: string,
  value: number | Tensor,
): { readonly ref: Operand; readonly tensors: readonly Tensor[] } {
  if (isTensor(value)) return { ref: { tensor: 0 }, tensors: [value] };
  return { ref: jsonNumber(what, value), tensors: [] };
}

function tensorOnly(what: string, value: Tensor): readonly [Tensor] {
  if (isTensor(value)) return [value];
  throw hooklensError("invalid_intervention", `${what}: expected a Tensor, got ${describe(value)}`);
}

/**
 * Sets the activation to 0; with {@link Intervention.at} a part of it: `zero().at({ head: 2 })`.
 *
 * @throws `invalid_argument` for any argument: a selection is given to `at`.
 */
export function zero(...nothing: readonly never[]): Intervention {
  if (nothing.length > 0) {
    throw hooklensError(
      "invalid_argument",
      "zero: takes no arguments; for a part of the activation use zero().at({ … })",
    );
  }
  return new Intervention({ kind: "zero" });
}

/** Multiplies by a number, or by a tensor that broadcasts to the selected part. */
export function scale(factor: number | Tensor): Intervention {
  const { ref, tensors } = operand("scale", factor);
  return new Intervention({ kind: "scale", factor: ref }, tensors);
}

/** Adds a number, or a tensor that broadcasts to the selected part, such as a steering vector `[d_model]`. */
export function add(value: number | Tensor): Intervention {
  const { ref, tensors } = operand("add", value);
  return new Intervention({ kind: "add", value: ref }, tensors);
}

/** Puts a number, or a tensor that broadcasts to the selected part, in place of the activation. */
export function set(value: number | Tensor): Intervention {
  const { ref, tensors } = operand("set", value);
  return new Intervention({ kind: "set", value: ref }, tensors);
}

/** Keeps values between two bounds, either of which may be null; NaN stays NaN. */
export function clamp(min: number | null, max: number | null): Intervention {
  const bound = (value: number | null) => (value === null ? null : jsonNumber("clamp", value));
  return new Intervention({ kind: "clamp", min: bound(min), max: bound(max) });
}

/**
 * Removes the component along a direction `[d]`, or in the span of several `[k, d]`, of the last axis' size. They need
 * not have length 1 or be orthogonal.
 */
export function projectOut(direction: Tensor): Intervention {
  return new Intervention(
    { kind: "project_out", direction: { tensor: 0 } },
    tensorOnly("projectOut", direction),
  );
}

/**
 * Puts a mean in place of the activation: its own mean over some axes, by default the batch and the positions, or one
 * that was computed before, a tensor that broadcasts to the selected part.
 */
export function meanAblate(over: readonly string[] | Tensor = ["batch", "pos"]): Intervention {
  if (!isTensor(over)) requireIterable("meanAblate", "names of axes or a mean", over);
  return isTensor(over)
    ? new Intervention({ kind: "mean_ablate", mean: { tensor: 0 } }, [over])
    : new Intervention({ kind: "mean_ablate", over: [...over] });
}

/**
 * Puts a value from another run in place of the activation: a tensor of its shape, or a cache that has the point under its
 * name. Narrowed with {@link Intervention.at}, only that part is taken.
 */
export function patchFrom(source: Tensor | ActivationMap): Intervention {
  const spec = { kind: "patch", source: { tensor: 0 } } as const;
  if (isTensor(source)) return new Intervention(spec, [source]);
  if (source instanceof ActivationMap) return new Intervention(spec, [], source);
  throw hooklensError(
    "invalid_intervention",
    `patchFrom: expected a Tensor or a cache of runWithCache, got ${describe(source)}`,
  );
}

/** Settings of {@link knockOutEdges}. */
export interface KnockOutOptions {
  /**
   * Rescale the rows of a pattern that lost edges, so that they sum to 1 again. Scores need no rescaling.
   * @default false
   */
  readonly renormalise?: boolean;
}

/**
 * Stops attention from query to key positions: at `hook_attn_scores` (the softmax follows) or at `hook_pattern`.
 *
 * If the layer has none of these edges (the keys come after their queries, or lie outside the layer's window), it is
 * refused. Queries count within the run: one that goes on from kept keys and values has its own queries only, and -1 is
 * its last.
 */
export function knockOutEdges(
  edges: readonly (readonly [query: number, key: number])[],
  options: KnockOutOptions = {},
): Intervention {
  checkOptionKeys("knockOutEdges", options, ["renormalise"]);
  const { renormalise = false } = options;
  const form = "pairs [query, key]";
  requireIterable("knockOutEdges", form, edges);
  const pairs = [...edges].map((edge) => {
    requireIterable("knockOutEdges", form, edge);
    const [query, key] = edge;
    return [query, key] as const;
  });
  return new Intervention({ kind: "knock_out_edges", edges: pairs, renormalise });
}
