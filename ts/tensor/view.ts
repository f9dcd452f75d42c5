/** `x.at(…)`: a place in a tensor, to read or to make a changed copy from. */

import type { DType } from "../engine/engine.ts";
import { requireFunction } from "./arguments.ts";
import type { Operand } from "./arithmetic.ts";
import { isTensor } from "./base.ts";
import { type EngineIndex, engineIndex, type IndexItem } from "./indexing.ts";
import { run } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/**
 * A place in a tensor. Reading gives the elements there; everything else gives a copy of the whole tensor with the
 * place changed, as tensors are values.
 *
 * @example
 * ```ts
 * const z = randn([5, 4, 8]).named("pos", "head", "d_head");
 * const direction = randn([8]);
 * z.at({ head: 3 }).fill(0);            // z with head 3 silenced
 * z.at({ pos: -1 }).add(direction);     // z with a vector added at the last position
 * z.at(0, slice(1)).set(direction);     // z with z[0, 1:] = direction
 * ```
 */
export class TensorView<Axes extends readonly string[] = readonly string[], D extends DType = DType> {
  readonly #tensor: Tensor<Axes, D>;
  readonly #index: EngineIndex;

  /** @internal */
  constructor(tensor: Tensor<Axes, D>, index: readonly IndexItem[]) {
    this.#tensor = tensor;
    this.#index = engineIndex(index, tensor);
  }

  /** The elements at this place. */
  get(): Tensor<readonly string[], D> {
    const { items, tensors, axes } = this.#index;
    return run("index", [this.#tensor, ...tensors], { index: items }, axes);
  }

  /** The tensor with `values` (which broadcast) at this place. */
  set(values: Operand): Tensor<Axes, D> {
    return this.#put(values, false);
  }

  /** The tensor with every element at this place replaced by one number. */
  fill(value: number): Tensor<Axes, D> {
    return this.#put(value, false);
  }

  /** The tensor with `values` (which broadcast) added at this place; indices that occur twice are added to twice. */
  add(values: Operand): Tensor<Axes, D> {
    return this.#put(values, true);
  }

  /** The tensor with this place multiplied by `factor`. */
  mul(factor: Operand): Tensor<Axes, D> {
    return this.set(this.get().mul(factor));
  }

  /** The tensor with this place replaced by what `change` makes of it. */
  apply(change: (part: Tensor<readonly string[], D>) => Operand): Tensor<Axes, D> {
    requireFunction("apply", change);
    return this.set(change(this.get()));
  }

  #put(values: Operand, accumulate: boolean): Tensor<Axes, D> {
    const { items, tensors } = this.#index;
    const inputs: Tensor[] = [this.#tensor as unknown as Tensor, ...tensors];
    if (!isTensor(values)) {
      return run("index_put", inputs, { index: items, value: values, accumulate }, this.#tensor.axes);
    }
    const args = { index: items, values_input: inputs.length, accumulate };
    return run("index_put", [...inputs, values], args, this.#tensor.axes);
  }
}
