/**
 * `Tensor`: an n-dimensional array that lives in the engine, with its gradient history. The last link of the chain
 * `TensorBase` … `DataOps`, which declares the operations; here are indexing, axis names and gradients.
 */

import type { DType } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { handleOf, setConstructor, wrap } from "./base.ts";
import { DataOps } from "./data.ts";
import { type AxisIndex, type IndexItem, isNamedIndex, type NamedIndex, namedIndex } from "./indexing.ts";
import { run } from "./operation.ts";
import { checkOptionKeys } from "./option-keys.ts";
import { TensorView } from "./view.ts";

/** Settings of {@link Tensor.backward}. */
export interface BackwardOptions {
  /**
   * Keep the recorded operations for another backward pass.
   * @default false
   */
  readonly retainGraph?: boolean;
}

/**
 * An immutable n-dimensional array. Operations give new tensors and record how to compute gradients where one of
 * their inputs requires them.
 *
 * `Axes` are the names of the axes where they are known to the compiler (`Tensor<["batch", "pos", "d_model"]>`), `D` is
 * the dtype. A plain `Tensor` is one about which neither is known.
 *
 * Make one with {@link tensor}, {@link zeros}, {@link randn} and their like. Free it with `using`, {@link dispose} or
 * `tidy`; what is forgotten is freed by the garbage collector, later.
 *
 * @example
 * ```ts
 * const x = tensor([[1, 2], [3, 4]], { requiresGrad: true });
 * x.square().sum().backward();
 * x.grad?.toArray(2); // [[2, 4], [6, 8]]
 * ```
 *
 * @category Indexing, names and gradients
 */
export class Tensor<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends DataOps<Axes, D> {
  /**
   * Picks elements, as Python's `x[…]`: numbers, `slice(start, stop, step)`, `null` for a new axis, `"..."`, lists,
   * index tensors and bool masks. Throws `index_out_of_range`, `rank_mismatch` for too many items, and `shape_mismatch`
   * for masks or index tensors that do not fit.
   *
   * @example
   * ```ts
   * const x = randn([3, 4]);
   * x.get(0);                       // x[0]
   * x.get("...", slice(1, null, 2)); // x[..., 1::2]
   * x.get(x.gt(0));                 // x[x > 0]
   * ```
   */
  get(...index: readonly IndexItem[]): Tensor<readonly string[], D> {
    return this.#view(index).get();
  }

  /**
   * A place in the tensor, by axis name or as in {@link get}: to read, or to make a changed copy from.
   *
   * @example
   * ```ts
   * const z = randn([5, 4, 8]).named("pos", "head", "d_head");
   * z.at({ head: 3 }).fill(0);         // a copy with head 3 silenced
   * z.at(0, slice(1)).set(zeros([8])); // a copy with z[0, 1:] = zeros
   * ```
   */
  at(index: NamedIndex<Axes>): TensorView<Axes, D>;
  at(...index: readonly IndexItem[]): TensorView<Axes, D>;
  at(...index: readonly (IndexItem | NamedIndex<Axes>)[]): TensorView<Axes, D> {
    const [first] = index;
    if (index.length === 1 && isNamedIndex(first)) {
      return this.#view(namedIndex(first as Readonly<Record<string, AxisIndex | undefined>>, this.axes));
    }
    return this.#view(index as readonly IndexItem[]);
  }

  #view(index: readonly IndexItem[]): TensorView<Axes, D> {
    return new TensorView<Axes, D>(this, index);
  }

  /**
   * The same tensor with names for its axes, one for each. Without any, its names are dropped. Operations carry names
   * along where axes survive; indexing and reductions take them.
   *
   * @example
   * ```ts
   * const z = randn([2, 5, 4, 8]).named("batch", "pos", "head", "d_head");
   * z.mean("head").axes; // ["batch", "pos", "d_head"]
   * ```
   */
  named<const Names extends readonly string[]>(...names: Names): Tensor<Names, D> {
    if (names.length !== 0 && names.length !== this.rank) {
      throw new HooklensError(
        "rank_mismatch",
        `named: ${names.length} names for ${this.rank} axes of shape [${this.shape.join(", ")}]`,
        { expected: this.rank, got: [...names] },
      );
    }
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) {
      throw new HooklensError("invalid_argument", `named: '${twice}' names two axes`, { names: [...names] });
    }
    return wrap(handleOf(this).share(), [...names]);
  }

  /** The same elements without history: gradients stop here. */
  detach(): Tensor<Axes, D> {
    return run("detach", [this], {}, this.axes);
  }

  /** A second tensor for the same elements and history, disposed independently. */
  share(): Tensor<Axes, D> {
    return wrap(handleOf(this).share(), this.axes);
  }

  /**
   * Makes this tensor a leaf that requires a gradient, or with `false` no longer; gives the tensor itself. Not for
   * integers (`wrong_dtype`), nor to stop gradients inside a graph (`autograd`; use {@link detach}).
   */
  requiresGrad_(on = true): this {
    const handle = handleOf(this);
    if (on === handle.requiresGrad) return this;
    if (!on && !handle.isLeaf) {
      throw new HooklensError(
        "autograd",
        "requiresGrad_(false): only leaves can be changed; use detach() inside a graph",
      );
    }
    this.replaceHandle(on ? handle.requiringGrad() : handle.detach());
    return this;
  }

  /**
   * The gradient that {@link backward} accumulated, or null: for leaves that require one and for tensors told to
   * {@link retainGrad}. Assigning replaces it; null clears it.
   */
  get grad(): Tensor<Axes> | null {
    const grad = handleOf(this).grad();
    return grad === null ? null : wrap(grad, this.axes);
  }

  /** Replaces the gradient by a tensor of this one's shape; null clears it. */
  set grad(value: Tensor | null) {
    handleOf(this).setGrad(value === null ? null : handleOf(value));
  }

  /** Clears {@link grad}. */
  zeroGrad(): void {
    handleOf(this).setGrad(null);
  }

  /** Asks backward to keep the gradient of this intermediate result in {@link grad}. */
  retainGrad(): this {
    handleOf(this).retainGrad();
    return this;
  }

  /**
   * Adds the gradient of this tensor with respect to every leaf that requires one to that leaf's {@link grad}. A
   * tensor of more than one element needs `gradient`, of its own shape, to weigh them by. Throws `autograd` where a
   * gradient cannot be computed; then no leaf has changed.
   */
  backward(gradient: Tensor | null = null, options: BackwardOptions = {}): void {
    checkOptionKeys("backward", options, ["retainGraph"]);
    handleOf(this).backward(gradient === null ? null : handleOf(gradient), options.retainGraph ?? false);
  }

  /** Overwrites a parameter's elements in place; see {@link parameter}. */
  assign_(value: Tensor): this {
    handleOf(this).assign(handleOf(value));
    return this;
  }

  /** A copy of the elements in memory of their own. Gradients flow through. */
  clone(): Tensor<Axes, D> {
    return run("clone", [this], {}, this.axes);
  }
}

setConstructor((handle, axes) => new Tensor(handle, axes));
