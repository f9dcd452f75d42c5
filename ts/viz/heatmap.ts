/** Matrices as coloured tables. */

import { hooklensError } from "../engine/errors.ts";
import { requireText } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import { type GridCell, gridHtml } from "./grid.ts";
import { html } from "./html.ts";
import { divergingLegend, sequentialLegend } from "./legend.ts";
import { signed, significant } from "./numbers.ts";
import { Picture } from "./picture.ts";
import { largestSize, rangeClass, signedClass } from "./scales.ts";
import { nameHtml } from "./token-html.ts";
import { checkNames, type Matrix, readNumbers, rowsOf } from "./values.ts";

/** Settings of {@link heatmap}. */
export interface HeatmapOptions {
  /** @default "Heat map" */
  readonly title?: string;
  /**
   * The names of rows.
   * @default their numbers
   */
  readonly rows?: readonly string[];
  /**
   * The names of columns.
   * @default their numbers
   */
  readonly columns?: readonly string[];
  /**
   * `diverging` has two colours that meet at 0, `sequential` one that grows from the least value to the largest.
   * @default "diverging" if there are values below 0
   */
  readonly scale?: "diverging" | "sequential";
  /**
   * Decimals of the numbers in the cells.
   * @default as many as three digits take
   */
  readonly digits?: number;
}

const OPTION_KEYS = ["title", "rows", "columns", "scale", "digits"];

/**
 * A matrix as a table of coloured cells with their numbers.
 *
 * @param values `[row, column]`.
 * @throws `rank_mismatch`, `shape_mismatch` for names that are not as many as rows or columns.
 *
 * @example
 * ```ts
 * const [, cache] = model.runWithCache(prompt, { removeBatchDim: true });
 * heatmap(cache.get("blocks.0.attn.hook_z").square().sum("d_head").sqrt(), {
 *   title: "How much each head of layer 0 writes", rows: model.toStrTokens(prompt),
 * });
 * ```
 */
export function heatmap(values: Matrix, options: HeatmapOptions = {}): Picture {
  checkOptionKeys("heatmap", options, OPTION_KEYS);
  const matrix = readNumbers("heatmap", values, [2]);
  const [height = 0, width = 0] = matrix.shape;
  const { title = "Heat map", digits } = options;
  requireText("heatmap: title", "text", title);
  if (digits !== undefined && !(Number.isInteger(digits) && digits >= 0 && digits <= 20)) {
    const got = describe(digits);
    throw hooklensError(
      "invalid_argument",
      `heatmap: digits: expected a whole number from 0 to 20, got ${got}`,
    );
  }
  const rowNames = namesOf("rows", options.rows, height);
  const columnNames = namesOf("columns", options.columns, width);
  const finite = Array.from(matrix.data).filter(Number.isFinite);
  const least = finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = finite.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const diverging = (options.scale ?? (least < 0 ? "diverging" : "sequential")) === "diverging";
  const largest = largestSize(finite);
  const write = (value: number) =>
    digits === undefined ? significant(value) : diverging ? signed(value, digits) : value.toFixed(digits);
  const cell = (value: number): GridCell => ({
    content: write(value).trim(),
    color: diverging ? signedClass(value, largest) : rangeClass(value, least, most),
  });
  const legend = diverging
    ? divergingLegend(largest, "", "")
    : sequentialLegend(finite.length === 0 ? "" : write(least), finite.length === 0 ? "" : write(most));
  const grid = gridHtml({
    label: title,
    corner: "",
    columns: columnNames.map(nameHtml),
    rows: rowsOf(matrix).map((row, r) => ({ title: nameHtml(rowNames[r] ?? ""), cells: row.map(cell) })),
    hint: `${height} × ${width}; point at a cell or walk with the arrow keys.`,
  });
  return new Picture(title, html`<div class="heat">${legend}${grid}</div>`);
}

function namesOf(what: string, names: readonly string[] | undefined, count: number): readonly string[] {
  if (names === undefined) return Array.from({ length: count }, (_, i) => String(i));
  checkNames(what, names, count);
  return names;
}
