/** What a model would say next if it stopped after each layer (the logit lens of nostalgebraist, 2020). */

import { requireIterable, requireObject, requireText } from "../tensor/arguments.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import { requireTokenProbability, type TokenProbability } from "./bars.ts";
import { gridHtml } from "./grid.ts";
import { type Html, html } from "./html.ts";
import { sequentialLegend } from "./legend.ts";
import { percent, signed } from "./numbers.ts";
import { Picture } from "./picture.ts";
import { shareClass } from "./scales.ts";
import { shortLabel, tokenHtml } from "./token-html.ts";
import { checkNames } from "./values.ts";

/** A layer of {@link logitLens}. */
export interface LensLayer {
  /** What the row is called, such as `block 3`. */
  readonly name: string;
  /** The best token at each position. */
  readonly best: readonly TokenProbability[];
}

/** Settings of {@link logitLens}. */
export interface LogitLensOptions {
  /** @default "Logit lens" */
  readonly title?: string;
}

/** The table as markup, for some positions of a prompt. */
export function logitLensHtml(
  tokens: readonly { readonly position: number; readonly text: string }[],
  layers: readonly LensLayer[],
): Html {
  const title = (token: { readonly position: number; readonly text: string }) =>
    html`<b>${token.position}</b> ${tokenHtml(token.text)}`;
  const about = (layer: LensLayer, at: { readonly position: number; readonly text: string }) => {
    const best = layer.best[at.position];
    if (best === undefined) return "";
    const logit = best.logit === undefined ? "" : `, logit ${signed(best.logit).trim()}`;
    return `after ${layer.name}, behind ${at.position} ${shortLabel(at.text)}: ${shortLabel(best.text)} ${percent(best.probability)}${logit}`;
  };
  const grid = gridHtml({
    label: "Logit lens: the best next token after each layer (rows) at each position (columns)",
    corner: "after",
    columns: tokens.map(title),
    rows: layers.map((layer) => ({
      title: layer.name,
      cells: tokens.map((token) => {
        const { text = "", probability = Number.NaN } = layer.best[token.position] ?? {};
        return {
          content: html`${tokenHtml(text)}<small>${percent(probability)}</small>`,
          color: shareClass(probability),
          about: about(layer, token),
        };
      }),
    })),
    fromEnd: true,
    hint: "Each cell is the best guess for what follows its column's token.",
  });
  return html`<div class="lens">${sequentialLegend("0 %", "100 % (square root)")}${grid}</div>`;
}

/**
 * A logit lens: a row a layer, a column a position, in each cell the best next token and its probability.
 *
 * @param tokens The tokens of the prompt.
 * @throws `shape_mismatch` for a layer that has not as many tokens.
 *
 * @example
 * ```ts
 * const { tokens, logitLens: rows } = explain(model, prompt);
 * const layers = rows.map(({ blocks, best }) => ({ name: `${blocks} blocks`, best }));
 * logitLens(tokens.map(({ text }) => text), layers).toPage();
 * ```
 */
export function logitLens(
  tokens: readonly string[],
  layers: readonly LensLayer[],
  options: LogitLensOptions = {},
): Picture {
  checkOptionKeys("logitLens", options, ["title"]);
  requireIterable("logitLens", "a list of tokens", tokens);
  requireIterable("logitLens", "a list of layers", layers);
  for (const layer of layers) {
    requireObject("logitLens", "layers as { name, best }", layer);
    requireText("logitLens: name", "what a layer is called", layer.name);
    requireIterable(`logitLens: ${layer.name}: best`, "the best token at each position", layer.best);
    for (const best of layer.best) requireTokenProbability(`logitLens: ${layer.name}`, best);
    const texts = layer.best.map((best) => best.text);
    checkNames(`logitLens: ${layer.name}`, texts, tokens.length);
  }
  checkNames("logitLens: tokens", tokens, tokens.length);
  const list = tokens.map((text, position) => ({ position, text }));
  return new Picture(options.title ?? "Logit lens", logitLensHtml(list, layers));
}
