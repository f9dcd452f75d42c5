/** Lines over layers. */

import { hooklensError } from "../engine/errors.ts";
import { requireIterable, requireObject } from "../tensor/arguments.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import { type Html, html, markup } from "./html.ts";
import { significant } from "./numbers.ts";
import { Picture } from "./picture.ts";
import { nameHtml } from "./token-html.ts";
import { readNumbers, type Vector } from "./values.ts";

/** A line of {@link lineChart}. */
export interface ChartLine {
  /** What the line shows. */
  readonly name: string;
  /** A number for each place on the x axis; those that are no numbers are left out. */
  readonly values: Vector;
}

/** Settings of {@link lineChart}. */
export interface LineChartOptions {
  /** @default "Chart" */
  readonly title?: string;
  /** The names of places on the x axis. */
  readonly x: readonly string[];
  /**
   * A logarithmic y axis.
   * @default for numbers above 0 of which the largest is over 30 times the least
   */
  readonly logarithmic?: boolean;
}

const width = 560;
const height = 220;
const left = 44;
const right = 28;
const top = 12;
const bottom = 34;
/** Points of a line that are drawn as dots; more would be a thick line. */
const mostDots = 60;

/** Round numbers that cover a range: one, two or five times powers of ten. */
function ticks(least: number, most: number, logarithmic: boolean): number[] {
  if (logarithmic) {
    const powers = Array.from({ length: 40 }, (_, i) => i - 20).flatMap((e) => [10 ** e, 3 * 10 ** e]);
    return powers.filter((tick) => tick >= least && tick <= most);
  }
  const rough = (most - least) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(least / step - 1e-9);
  const count = Math.floor(most / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => (first + i) * step);
}

/** The key and the chart, an image in SVG. Lines differ by dashes as well as by colour. */
export function lineChartHtml(
  label: string,
  x: readonly string[],
  lines: readonly { readonly name: string; readonly values: readonly number[] }[],
  logarithmic?: boolean,
): Html {
  const finite = lines.flatMap((line) => line.values).filter(Number.isFinite);
  const lowest = finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const highest = finite.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (finite.length === 0) return html`<p>There are no numbers to draw.</p>`;
  const log = lowest > 0 && (logarithmic ?? highest > 30 * lowest);
  const least = log ? lowest : Math.min(0, lowest);
  const most = highest > least ? highest : least + 1;
  const scale = (value: number) => (log ? Math.log(value) : value);
  const yOf = (value: number) =>
    top + (height - top - bottom) * (1 - (scale(value) - scale(least)) / (scale(most) - scale(least)));
  const xOf = (i: number) => left + ((width - left - right) * i) / Math.max(1, x.length - 1);
  const fixed = (n: number) => n.toFixed(1);

  const grid = ticks(least, most, log).map(
    (tick) =>
      html`<line class="tick" x1="${left}" x2="${width - right}" y1="${fixed(yOf(tick))}" y2="${fixed(yOf(tick))}"/><text x="${left - 6}" y="${fixed(yOf(tick) + 4)}" text-anchor="end">${significant(tick)}</text>`,
  );
  const every = Math.ceil(x.length / 9);
  const names = x.map((name, i) =>
    i % every === 0 || i === x.length - 1
      ? html`<text x="${fixed(xOf(i))}" y="${height - 12}" text-anchor="middle">${nameHtml(name)}</text>`
      : null,
  );
  const drawn = lines.map(({ values }, n) => {
    const points = values.flatMap((value, i) =>
      Number.isFinite(value) && (!log || value > 0) ? [[fixed(xOf(i)), fixed(yOf(value))]] : [],
    );
    const path = points.map(([px, py], i) => `${i === 0 ? "M" : "L"}${px} ${py}`).join("");
    const dots = (points.length > mostDots ? [] : points).map(
      ([px, py]) => html`<circle cx="${px ?? ""}" cy="${py ?? ""}" r="3"/>`,
    );
    return html`<g class="line l${n % 4}"><path d="${markup(path)}"/>${dots}</g>`;
  });
  const keys = lines.map(
    ({ name }, n) =>
      html`<li class=l${n % 4}><svg viewBox="0 0 34 8" aria-hidden="true"><path d="M0 4H34"/></svg>${nameHtml(name)}</li>`,
  );
  return html`<ul class="keys">${keys}</ul><div class="scroll"><svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${grid}${names}${drawn}</svg></div>`;
}

/**
 * Lines over layers or positions.
 *
 * @throws `shape_mismatch` for a line that has not a number for each place.
 *
 * @example
 * ```ts
 * const { residualNorms } = explain(model, prompt);
 * lineChart([{ name: "last position", values: residualNorms.values.map((row) => row.at(-1) ?? NaN) }], {
 *   title: "Residual stream", x: residualNorms.hooks,
 * });
 * ```
 */
export function lineChart(lines: readonly ChartLine[], options: LineChartOptions): Picture {
  checkOptionKeys("lineChart", options, ["title", "x", "logarithmic"]);
  requireIterable("lineChart", "a list of lines", lines);
  requireObject("lineChart", "options with the places x", options);
  const { title = "Chart", x, logarithmic } = options;
  requireIterable("lineChart: x", "a list of places", x);
  const drawn = lines.map(({ name, values }) => {
    const { data } = readNumbers(`lineChart: ${name}`, values, [1]);
    if (data.length !== x.length) {
      throw hooklensError(
        "shape_mismatch",
        `lineChart: ${name} has ${data.length} numbers for ${x.length} places`,
      );
    }
    return { name, values: Array.from(data) };
  });
  return new Picture(title, lineChartHtml(title, x, drawn, logarithmic));
}
