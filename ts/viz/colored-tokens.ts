/** A text whose tokens are coloured by a number each. */

import { checkOptionKeys } from "../tensor/option-keys.ts";
import { type Html, html, markup } from "./html.ts";
import { divergingLegend } from "./legend.ts";
import { decimalsFor, signed } from "./numbers.ts";
import { Picture } from "./picture.ts";
import { largestSize, signedClass } from "./scales.ts";
import { tokenHtml } from "./token-html.ts";
import { checkNames, readNumbers, type Vector } from "./values.ts";

/** Settings of {@link coloredTokens}. */
export interface ColoredTokensOptions {
  /** @default "Tokens" */
  readonly title?: string;
  /**
   * Decimals of the numbers.
   * @default as many as show three digits of the largest, at least 2
   */
  readonly digits?: number;
}

/** The tokens as markup, each with its number, below the key to their colours, whose ends have these names. */
export function coloredTokensHtml(
  tokens: readonly { readonly position: number; readonly text: string }[],
  valueAt: (position: number) => number,
  [lower, higher]: readonly [string, string],
  decimals?: number,
): Html {
  const largest = largestSize(tokens.map(({ position }) => valueAt(position)));
  const digits = decimals ?? decimalsFor(largest);
  const items = tokens.map(({ position, text }) => {
    const value = valueAt(position);
    const color = markup(signedClass(value, largest));
    return html`<li class=${color}>${tokenHtml(text)}<small>${signed(value, digits).trim()}</small></li>`;
  });
  return html`${divergingLegend(largest, lower, higher, digits)}<ol class="tokens">${items}</ol>`;
}

/**
 * Tokens coloured by a signed number each: attribution, the activation of a neuron, a loss by token.
 *
 * @param tokens The tokens as texts.
 * @param values `[pos]`.
 * @throws `rank_mismatch`, `shape_mismatch` where there are not as many numbers as tokens.
 *
 * @example
 * ```ts
 * const neuron = cache.get("blocks.2.mlp.hook_post").get(0, slice(null), 17);
 * coloredTokens(model.toStrTokens(prompt), neuron, { title: "Neuron 17 of layer 2" }).toPage();
 * ```
 */
export function coloredTokens(
  tokens: readonly string[],
  values: Vector,
  options: ColoredTokensOptions = {},
): Picture {
  checkOptionKeys("coloredTokens", options, ["title", "digits"]);
  const { title = "Tokens", digits } = options;
  const { shape, data } = readNumbers("coloredTokens", values, [1]);
  checkNames("coloredTokens: tokens", tokens, shape[0] ?? 0);
  const list = coloredTokensHtml(
    tokens.map((text, position) => ({ position, text })),
    (position) => data[position] ?? Number.NaN,
    ["", ""],
    digits,
  );
  return new Picture(title, list);
}
