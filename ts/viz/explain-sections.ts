/** The sections of an explanation's page, but for attention. */

import type { ExplainReport } from "../analysis/explain-report.ts";
import { signedBarsHtml, tokenBarsHtml } from "./bars.ts";
import { coloredTokensHtml } from "./colored-tokens.ts";
import type { Detail } from "./explain-page.ts";
import { gridHtml } from "./grid.ts";
import { type Html, html } from "./html.ts";
import { divergingLegend, sequentialLegend } from "./legend.ts";
import { lineChartHtml } from "./line-chart.ts";
import { logitLensHtml } from "./logit-lens.ts";
import { percent, signed, significant } from "./numbers.ts";
import { largestSize, rangeClass, signedClass } from "./scales.ts";
import { shortLabel, tokenHtml } from "./token-html.ts";

/** What a row of the logit lens is called: what has run. */
function layerName(blocks: number): string {
  return blocks === 0 ? "embedding" : `block ${blocks - 1}`;
}

/** Says what of a list a page shows, if it is not all. */
export function leftOut(shown: number, all: number, what: string): Html | null {
  return shown < all ? html`<p class="how">Shown are the last ${shown} of ${all} ${what}.</p>` : null;
}

/** Positions (the last ones) and rows (spread from the first to the last) of a table of layers by positions. */
function tableOf<Row>(rows: readonly Row[], positions: number, { columns, lensCells }: Detail) {
  const perRow = Math.floor(lensCells / Math.max(1, rows.length));
  const width = Math.min(columns, Math.max(Math.min(8, columns), perRow), positions);
  const height = Math.max(2, Math.floor(lensCells / Math.max(1, width)));
  return { width, rows: spread(rows, height) };
}

/** At most `most` of a list, the first, the last, and others at equal distances. */
function spread<Item>(list: readonly Item[], most: number): readonly Item[] {
  if (list.length <= most) return list;
  return Array.from(
    { length: most },
    (_, i) => list[Math.round((i * (list.length - 1)) / (most - 1))] as Item,
  );
}

/** Says which rows a table shows, if not all. */
function rowsLeftOut(shown: number, all: number): Html | null {
  return shown < all
    ? html`<p class="how">Shown are ${shown} of ${all} rows, spread over all layers.</p>`
    : null;
}

/** The most probable next tokens. */
export function nextSection({ next, answer }: ExplainReport): Html {
  const shown = next.some(({ id }) => id === answer.id) ? next.slice(0, 40) : [...next.slice(0, 39), answer];
  return html`<section id="next"><h2>Next token</h2><p class="how">What the model says comes next. The answer that this page explains is in bold.</p>${tokenBarsHtml(shown, (i) => shown[i]?.id === answer.id)}</section>`;
}

/** The logit lens at the last position, and at all. */
export const lensSections = {
  last({ logitLens, answer }: ExplainReport, { lensCells }: Detail): Html {
    const guesses = [0, 1, 2];
    const shown = spread(logitLens, Math.max(2, Math.floor(lensCells / 4)));
    const rows = shown.map(({ blocks, top, answer: at }) => {
      const cells = guesses.map((i) => {
        const guess = top[i];
        const text =
          guess &&
          html`<span class="word">${tokenHtml(guess.text)}</span> <small>${percent(guess.probability)}</small>`;
        const names = `${guess?.id === answer.id ? "on" : ""}${["", " second", " third"][i] ?? ""}`;
        return html`<td class="${names}">${text ?? ""}</td>`;
      });
      return html`<tr><th scope="row">${layerName(blocks)}</th>${cells}<td class="num">${percent(at.probability)}</td><td class="num soft">${at.rank}</td></tr>\n`;
    });
    return html`<section><h2>Logit lens at the last token</h2><p class="how">What the model would say if it stopped after each block, and where ${shortLabel(answer.text)} stands. Rank 0 is the best guess.</p>${rowsLeftOut(shown.length, logitLens.length)}
<div class="scroll"><table class="guesses" aria-label="Logit lens at the last token"><thead><tr><th scope="col">after</th><th scope="col">best guesses</th><td class="second"></td><td class="third"></td><th scope="col">answer</th><th scope="col">rank</th></tr></thead><tbody>
${rows}</tbody></table></div></section>`;
  },
  byPosition({ logitLens, tokens }: ExplainReport, detail: Detail): Html {
    const table = tableOf(logitLens, tokens.length, detail);
    const shown = tokens.slice(-table.width);
    const layers = table.rows.map(({ blocks, best }) => ({ name: layerName(blocks), best }));
    return html`<section id="lens"><h2>Logit lens</h2><p class="how">The best guess after each block (rows) for what follows each token (columns), and its probability.</p>${leftOut(shown.length, tokens.length, "positions")}${rowsLeftOut(layers.length, logitLens.length)}${logitLensHtml(shown, layers)}</section>`;
  },
};

const mostBars = 40;

/** Gradient × activation by token. */
export function attributionSection(report: ExplainReport, { tokens: most }: Detail): Html {
  const { attribution, tokens, answer } = report;
  const shown = tokens.slice(-most);
  const valueAt = (position: number) => attribution.values[position] ?? Number.NaN;
  const strongest = [...tokens]
    .sort((a, b) => Math.abs(valueAt(b.position)) - Math.abs(valueAt(a.position)))
    .slice(0, mostBars)
    .sort((a, b) => a.position - b.position)
    .map(({ position, text }) => ({ position, text, value: valueAt(position) }));
  return html`<section id="attribution"><h2>Token attribution</h2><p class="how">Gradient × activation at ${attribution.hook}: how much each token’s embedding moves the logit of “${shortLabel(answer.text)}”, to first order. Blue raises it, orange lowers it.</p>${leftOut(shown.length, tokens.length, "tokens")}
${coloredTokensHtml(shown, valueAt, ["lowers", "raises"])}
<details${tokens.length <= 20 ? html` open` : null}><summary>${tokens.length <= mostBars ? "As bars" : `The ${mostBars} strongest as bars`}</summary>${signedBarsHtml(strongest, "Gradient × activation of each token")}</details></section>`;
}

/** The layers whose heads matter most, as many as have room, in order. */
function shownLayers(effects: readonly (readonly number[])[], cells: number): number[] {
  const room = Math.max(1, Math.floor(cells / Math.max(1, effects[0]?.length ?? 1)));
  return effects
    .map((row, layer) => ({ layer, size: largestSize(row) }))
    .sort((a, b) => b.size - a.size)
    .slice(0, room)
    .map(({ layer }) => layer)
    .sort((a, b) => a - b);
}

/** The effect of each head. */
export function ablationSection({ headAblation, answer, attention }: ExplainReport, { cells }: Detail): Html {
  const { effects, baseline } = headAblation;
  const largest = largestSize(effects.flat());
  const layers = shownLayers(effects, cells);
  const missing = effects.length - layers.length;
  const grid = gridHtml({
    label: "Change of the answer's logit without each head",
    corner: "",
    columns: (effects[0] ?? []).map((_, head) => `head ${head}`),
    rows: layers.map((layer) => ({
      title: `layer ${layer}`,
      cells: (effects[layer] ?? []).map((effect, head) => ({
        content: signed(effect).trim(),
        color: signedClass(effect, largest),
        head: `${layer}.${head}`,
        chosen: layer === attention.layer && head === attention.head,
      })),
    })),
    hint: "Choose a cell to see the head’s attention below.",
  });
  return html`<section id="ablation"><h2>Effect of ablating each head</h2><p class="how">The change of the logit of ${shortLabel(answer.text)} (${signed(baseline).trim()}) when a head’s output is set to zero. Orange: the answer loses without the head, so the head speaks for it.</p>${missing > 0 ? html`<p class="how">Left out are the ${missing} layers whose heads matter least.</p>` : null}
${divergingLegend(largest, "speaks for the answer", "speaks against")}${grid}</section>`;
}

/** Length of the residual stream. */
export function normSection({ residualNorms, tokens }: ExplainReport, detail: Detail): Html {
  const { values } = residualNorms;
  const names = values.map((_, blocks) => layerName(blocks));
  const last = tokens.length - 1;
  const middle = values.map((row) => median(row.slice(1)));
  const lines = [
    { name: "last token", values: values.map((row) => row[last] ?? Number.NaN) },
    { name: "first token", values: values.map((row) => row[0] ?? Number.NaN) },
    { name: "median of the others", values: middle },
  ];
  const numbered = values.map((row, blocks) => ({ row, name: names[blocks] ?? "" }));
  const table = tableOf(numbered, tokens.length, detail);
  const shown = tokens.slice(-table.width);
  const finite = values.flat().filter((value) => value > 0 && Number.isFinite(value));
  const least = Math.log(finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY));
  const most = Math.log(finite.reduce((a, b) => Math.max(a, b), 0));
  const grid = gridHtml({
    label: "Norm of the residual stream after each layer (rows) at each position (columns)",
    corner: "after",
    columns: shown.map(({ position, text }) => html`<b>${position}</b> ${tokenHtml(text)}`),
    rows: table.rows.map(({ row, name }) => ({
      title: name,
      cells: shown.map(({ position }) => {
        const value = row[position] ?? Number.NaN;
        return { content: significant(value), color: rangeClass(Math.log(value), least, most) };
      }),
    })),
    fromEnd: true,
    hint: "The colour grows with the logarithm.",
  });
  const drawn = tokens.length > 2 ? lines : lines.slice(0, tokens.length);
  return html`<section id="norms"><h2>Residual norms</h2><p class="how">The length of the residual stream’s vector after each block. The first token is often far longer than the others: heads with nothing to do look at it.</p>
${lineChartHtml(`Norm of the residual stream, from the ${names[0]} to ${names.at(-1)}`, names, drawn)}
${leftOut(shown.length, tokens.length, "positions")}${rowsLeftOut(table.rows.length, values.length)}${finite.length > 0 ? sequentialLegend(significant(Math.exp(least)), significant(Math.exp(most))) : null}${grid}</section>`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) / 2;
}
