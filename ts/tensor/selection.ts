/** Picking, placing and ordering elements by index tensors and masks. Ranges and `get`/`at` are in `indexing.ts`. */

import type { DType } from "../engine/engine.ts";
import { type Dim, dimNumber } from "./axes.ts";
import { run, runPair, runTriple } from "./operation.ts";
import type { ValuesAndIndices } from "./reductions.ts";
import { ShapeOps } from "./shapes.ts";
import type { Tensor } from "./tensor.ts";

/** What {@link Tensor.unique} finds. */
export interface Unique<D extends DType = DType> {
  /** The distinct elements, sorted. */
  readonly values: Tensor<readonly string[], D>;
  /** For each element of the input, its place in `values`. */
  readonly inverse: Tensor<readonly string[], "int64">;
  /** How often each of `values` occurs. */
  readonly counts: Tensor<readonly string[], "int64">;
}

/**
 * Selection by index. Index tensors are int64; an index outside its axis throws `index_out_of_range`. Gradients flow
 * to the elements that were picked.
 *
 * @category Selection
 */
export abstract class SelectionOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends ShapeOps<Axes, D> {
  /** The slices of an axis that `index` `[n]` names. */
  indexSelect(dim: Dim<Axes>, index: Tensor): Tensor<Axes, D> {
    return run("index_select", [this, index], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** `out[i][j] = this[i][index[i][j]]` for `dim` 1; `index` has as many axes as this and is nowhere larger. */
  gather(dim: Dim<Axes>, index: Tensor): Tensor<Axes, D> {
    return run("gather", [this, index], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** Like {@link gather}, but `index` broadcasts and may be negative. */
  takeAlongDim(index: Tensor, dim: Dim<Axes>): Tensor<Axes, D> {
    return run("take_along_dim", [this, index], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** A copy with `source` (a tensor or a number) written to the places that `index` names along an axis. */
  scatter(dim: Dim<Axes>, index: Tensor, source: Tensor | number): Tensor<Axes, D> {
    const at = dimNumber(this.axes, dim);
    return typeof source === "number"
      ? run("scatter", [this, index], { dim: at, value: source }, this.axes)
      : run("scatter", [this, index, source], { dim: at }, this.axes);
  }

  /** A copy with `source` added at the places that `index` names along an axis; several may go to one place. */
  scatterAdd(dim: Dim<Axes>, index: Tensor, source: Tensor): Tensor<Axes, D> {
    return run("scatter_add", [this, index, source], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** A copy with `value` wherever the bool tensor `mask` (which broadcasts) is true. */
  maskedFill(mask: Tensor, value: number): Tensor<Axes, D> {
    return run("masked_fill", [this, mask], { value }, this.axes);
  }

  /** This where `condition` is true, `other` elsewhere; all three broadcast. See also the function `where`. */
  where(condition: Tensor, other: Tensor | number): Tensor {
    return typeof other === "number"
      ? run("where", [condition, this], { other })
      : run("where", [condition, this, other]);
  }

  /** The `k` largest (or smallest) elements along an axis, best first. */
  topk(k: number, dim: Dim<Axes> = -1, largest = true): ValuesAndIndices<Axes> {
    const args = { k, dim: dimNumber(this.axes, dim), largest };
    const [values, indices] = runPair("topk", [this], args, this.axes);
    return { values, indices } as ValuesAndIndices<Axes>;
  }

  /** Sorts along an axis. Equal elements keep their order; NaN counts as largest. */
  sort(dim: Dim<Axes> = -1, descending = false): ValuesAndIndices<Axes> {
    const [values, indices] = runPair(
      "sort",
      [this],
      { dim: dimNumber(this.axes, dim), descending },
      this.axes,
    );
    return { values, indices } as ValuesAndIndices<Axes>;
  }

  /** The places that sort an axis. */
  argsort(dim: Dim<Axes> = -1, descending = false): Tensor<Axes, "int64"> {
    return run("argsort", [this], { dim: dimNumber(this.axes, dim), descending }, this.axes);
  }

  /** The distinct elements, sorted; where each element of this is among them; how often each occurs. */
  unique(): Unique<D> {
    const [values, inverse, counts] = runTriple("unique", [this]);
    return { values, inverse, counts } as Unique<D>;
  }

  /**
   * For each of `values`, where it would go in this sorted `[..., n]` tensor: before equal elements, or with `right`
   * after them.
   */
  searchsorted(values: Tensor, right = false): Tensor<readonly string[], "int64"> {
    return run("searchsorted", [this, values], { right });
  }

  /**
   * Rows of 0 and 1: class ids `[...]` to `[..., classes]`. With -1 the number of classes is the largest id plus one.
   */
  oneHot(classes = -1): Tensor<readonly string[], "int64"> {
    return run("one_hot", [this], { num_classes: classes });
  }
}
