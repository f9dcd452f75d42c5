/** Bars: probabilities of tokens, and signed numbers of positions. */

import { hooklensError } from "../engine/errors.ts";
import { requireIterable } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import { type Html, html } from "./html.ts";
import { percent, signed } from "./numbers.ts";
import { Picture } from "./picture.ts";
import { largestSize } from "./scales.ts";
import { tokenHtml } from "./token-html.ts";

/** A token and how likely it is. */
export interface TokenProbability {
  /** The token alone. */
  readonly text: string;
  /** 0 to 1. */
  readonly probability: number;
  /** The score before the softmax. */
  readonly logit?: number;
}

/** A share as a number of a style, to a tenth of a per cent. */
function length(share: number): string {
  return (100 * (Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0)).toFixed(1);
}

/** Tokens with their probabilities as a table of bars. */
export function tokenBarsHtml(tokens: readonly TokenProbability[], marked: (index: number) => boolean): Html {
  const most = largestSize(tokens.map((token) => token.probability));
  const rows = tokens.map(({ text, probability, logit }, i) => {
    const bar = html`<span class="bar" style="--w:${length(most > 0 ? probability / most : 0)}%"></span>`;
    return html`<tr${marked(i) ? html` class="on"` : null}><th scope="row">${tokenHtml(text)}</th><td class="num">${percent(probability)}</td>${logit === undefined ? null : html`<td class="num soft">${signed(logit).trim()}</td>`}<td class="fill">${bar}</td></tr>\n`;
  });
  const logits = tokens.some((token) => token.logit !== undefined);
  return html`<table class="bars" aria-label="Probabilities of tokens"><thead><tr><th scope="col">token</th><th scope="col">probability</th>${logits ? html`<th scope="col">logit</th>` : null}<td></td></tr></thead><tbody>
${rows}</tbody></table>`;
}

/** Throws unless `token` is a token with its probability. Internal. */
export function requireTokenProbability(what: string, token: unknown): void {
  const { text, probability, logit = 0 }: Record<string, unknown> = { ...Object(token) };
  if (typeof text === "string" && typeof probability === "number" && typeof logit === "number") return;
  throw hooklensError(
    "invalid_argument",
    `${what}: expected tokens as { text, probability } with an optional logit, got ${describe(token)}`,
  );
}

/** Settings of {@link tokenBars}. */
export interface TokenBarsOptions {
  /** @default "Next token" */
  readonly title?: string;
}

/**
 * Tokens with their probabilities, as bars.
 *
 * @example
 * ```ts
 * const { values, indices } = model.forward(prompt).get(0, -1).softmax(-1).topk(5);
 * const best = values.toArray(1).map((probability, i) => ({
 *   text: model.toSingleStrToken(indices.toArray(1)[i] ?? 0), probability,
 * }));
 * tokenBars(best).toPage();
 * ```
 */
export function tokenBars(tokens: readonly TokenProbability[], options: TokenBarsOptions = {}): Picture {
  checkOptionKeys("tokenBars", options, ["title"]);
  requireIterable("tokenBars", "a list of tokens", tokens);
  const list = [...tokens];
  for (const token of list) requireTokenProbability("tokenBars", token);
  return new Picture(
    options.title ?? "Next token",
    tokenBarsHtml(list, () => false),
  );
}

/** Signed numbers of positions as bars to both sides of a line. */
export function signedBarsHtml(
  rows: readonly { readonly position: number; readonly text: string; readonly value: number }[],
  label: string,
): Html {
  const largest = largestSize(rows.map((row) => row.value));
  const lines = rows.map(({ position, text, value }) => {
    const width = length(largest > 0 ? Math.abs(value) / largest : 0);
    return html`<tr><th scope="row"><b>${position}</b> ${tokenHtml(text)}</th><td class="num">${signed(value, 3).trim()}</td><td class="fill two"><span class="${value < 0 ? "bar minus" : "bar plus"}" style="--w:${width}%"></span></td></tr>\n`;
  });
  return html`<table class="bars" aria-label="${label}"><thead><tr><th scope="col">token</th><th scope="col">value</th><td></td></tr></thead><tbody>
${lines}</tbody></table>`;
}
