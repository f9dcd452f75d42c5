/** Attention patterns: all heads at a glance, one of them large, and what each token looks at. */

import { hooklensError } from "../engine/errors.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import { type GridCell, gridHtml } from "./grid.ts";
import { type Html, html, markup } from "./html.ts";
import { sequentialLegend } from "./legend.ts";
import { signed } from "./numbers.ts";
import { encodePattern, keptShare } from "./pattern-code.ts";
import { Picture } from "./picture.ts";
import { largestSize, shareClass, signedClass } from "./scales.ts";
import { tokenHtml } from "./token-html.ts";
import {
  checkNames,
  type Matrices,
  type MatricesOfLayers,
  type Matrix,
  part,
  readNumbers,
} from "./values.ts";

/** Settings of {@link attentionPattern}. */
export interface AttentionPatternOptions {
  /** @default "Attention pattern" */
  readonly title?: string;
}

/** Settings of {@link attentionPatterns}. */
export interface AttentionPatternsOptions {
  /** @default "Attention patterns" */
  readonly title?: string;
  /**
   * The names of heads of `[head, query, key]` patterns. Those of `[layer, head, query, key]` patterns are `L0H0` and so on.
   * @default `head 0` and so on
   */
  readonly names?: readonly string[];
  /**
   * The head that is large at first, counted from 0 over all layers.
   * @default 0
   */
  readonly selected?: number;
}

/** One head for {@link attentionHtml}. */
export interface HeadView {
  /** What it is called, such as `L2H1`. */
  readonly name: string;
  /** How other parts of a page refer to it, such as `2.1`. */
  readonly id: string;
  /** The row of the overview that it stands in. */
  readonly row: number;
  /** `[query, key]`, row-major. */
  readonly shares: ArrayLike<number>;
  /** What it does, as a signed number: colours its mark in the overview. */
  readonly effect?: number;
}

/** What the viewer shows. */
export interface AttentionView {
  readonly tokens: readonly string[];
  /** The positions of the tokens in the whole prompt. */
  readonly positions: readonly number[];
  readonly heads: readonly HeadView[];
  /** Index in `heads`. */
  readonly selected: number;
  /** Shares below it are shown as 0. */
  readonly leastShare: number;
  /** The title of a row of the overview. */
  readonly rowTitle: (row: number) => string;
  /** What {@link HeadView.effect} says, with `#` for the number. */
  readonly effectText?: string;
}

/** Cells as large as the numbers in them, or small ones without. */
function sizeOf(tokens: number): "large" | "medium" | "small" | "tiny" {
  return tokens <= 20 ? "large" : tokens <= 40 ? "medium" : tokens <= 72 ? "small" : "tiny";
}

function overviewHtml(view: AttentionView): Html {
  const rows = new Map<number, HeadView[]>();
  for (const head of view.heads) rows.set(head.row, [...(rows.get(head.row) ?? []), head]);
  const largest = largestSize(view.heads.map((head) => head.effect ?? 0));
  const columns = Math.max(0, ...[...rows.values()].map((heads) => heads.length));
  const button = (head: HeadView) => {
    const chosen = head === view.heads[view.selected];
    const effect =
      head.effect === undefined ? null : html`<i class=${signedClass(head.effect, largest)}></i>`;
    const about = head.effect === undefined ? head.name : `${head.name}, ${aboutEffect(view, head.effect)}`;
    const data = markup(encodePattern(head.shares, view.leastShare));
    return html`<button type="button" role="radio" aria-checked="${chosen ? "true" : "false"}" aria-label="${about}" data-head="${head.id}" data-p="${data}"><canvas width=1 height=1></canvas>${effect}</button>`;
  };
  const lines = [...rows].map(([row, heads]) => {
    // Rows of fewer heads than others are filled up.
    const missing = Array.from({ length: columns - heads.length }, () => html`<span></span>`);
    return html`<span class="row">${view.rowTitle(row)}</span>${heads.map(button)}${missing}`;
  });
  return html`<div class="heads scroll" role="radiogroup" aria-label="Heads" style="--columns:${columns};--thumb:${columns <= 4 ? 76 : columns <= 8 ? 56 : 36}px">${lines}</div>`;
}

function aboutEffect({ effectText = "#" }: AttentionView, effect: number): string {
  return effectText.replace("#", signed(effect).trim());
}

function matrixHtml(view: AttentionView, head: HeadView, causal: boolean): Html {
  const side = view.tokens.length;
  const numbers = sizeOf(side) === "large";
  const cell = (query: number, key: number): GridCell => {
    if (causal && key > query) return { content: "", color: "x" };
    const kept = keptShare(head.shares[query * side + key] ?? 0, view.leastShare);
    const share = kept > 1000 ? Number.NaN : kept / 1000;
    const written = !numbers || kept < 5 ? "" : kept > 1000 ? "NaN" : String(Math.round(kept / 10));
    return { content: written, color: shareClass(share) };
  };
  const title = (i: number) => html`<b>${view.positions[i] ?? i}</b> ${tokenHtml(view.tokens[i] ?? "")}`;
  return gridHtml({
    label: `How much each token (row) looks at each token (column), in per cent: ${head.name}`,
    corner: "",
    columns: view.tokens.map((_, i) => title(i)),
    rows: view.tokens.map((_, query) => ({
      title: title(query),
      cells: view.tokens.map((_, key) => cell(query, key)),
    })),
    hint: "Rows look at columns. Point at a cell or walk with the arrow keys.",
    upright: true,
  });
}

/** Whether no head looks ahead. */
function isCausal(heads: readonly HeadView[], side: number): boolean {
  return heads.every(({ shares }) => {
    for (let query = 0; query < side; query++) {
      for (let key = query + 1; key < side; key++) if (shares[query * side + key] !== 0) return false;
    }
    return true;
  });
}

/** The viewer as markup. */
export function attentionHtml(view: AttentionView): Html {
  const head = view.heads[view.selected] ?? view.heads[0];
  if (head === undefined) return html`<p>There are no heads.</p>`;
  const causal = isCausal(view.heads, view.tokens.length);
  const strip = view.tokens.map(
    (token, i) =>
      html`<button type="button" data-at="${view.positions[i] ?? i}">${tokenHtml(token)}</button>`,
  );
  const directions = [
    ["from", "looks at"],
    ["to", "is looked at by"],
  ].map(
    ([value = "", label = ""]) =>
      html`<button type="button" role="radio" data-direction=${value} aria-checked="${value === "from" ? "true" : "false"}">${label}</button>`,
  );
  return html`<hl-attention style="--n:${view.tokens.length}" data-size=${sizeOf(view.tokens.length)}${causal ? html` data-causal="1"` : null}${view.heads.length === 1 ? html` data-single="1"` : null}>
${overviewHtml(view)}${view.heads.length > 1 ? html`<noscript>Without scripts only one head is shown.</noscript>` : null}
<div class="one"><p class="which" aria-live="polite"><b>${head.name}</b> <span>${head.effect === undefined ? "" : aboutEffect(view, head.effect)}</span></p>
<div class="tokenwise"><p class="ask"><span>What a token</span> <span class="choice" role="radiogroup" aria-label="Direction">${directions}</span></p>
<p class="strip" role="toolbar" aria-label="Tokens">${strip}</p><p class="said" aria-live="polite"></p></div>
${matrixHtml(view, head, causal)}
${sequentialLegend("0 %", "100 % (square root)")}</div></hl-attention>`;
}

/**
 * One head's attention: a matrix of queries and keys, and the tokens with what each looks at.
 *
 * @param tokens The tokens as texts, as {@link HookedTransformer.toStrTokens} gives them.
 * @param pattern `[query, key]` of shares from 0 to 1.
 * @throws `rank_mismatch`, `shape_mismatch` where sizes disagree, `invalid_argument` for numbers that are no shares.
 *
 * @example
 * ```ts
 * const pattern = cache.get("blocks.1.attn.hook_pattern").get(0, 2);
 * attentionPattern(model.toStrTokens(prompt), pattern, { title: "L1H2" }).toPage();
 * ```
 */
export function attentionPattern(
  tokens: readonly string[],
  pattern: Matrix,
  options: AttentionPatternOptions = {},
): Picture {
  checkOptionKeys("attentionPattern", options, ["title"]);
  const { title = "Attention pattern" } = options;
  const numbers = readNumbers("attentionPattern", pattern, [2]);
  checkPattern("attentionPattern", tokens, numbers.shape, numbers.data);
  const head: HeadView = { name: title, id: "0.0", row: 0, shares: numbers.data };
  return new Picture(title, attentionHtml(plainView(tokens, [head], 0, () => "")));
}

/**
 * The attention of many heads: an overview to choose from, and the chosen one large.
 *
 * @param tokens The tokens as texts, as {@link HookedTransformer.toStrTokens} gives them.
 * @param patterns `[head, query, key]` or `[layer, head, query, key]` of shares from 0 to 1.
 * @throws `rank_mismatch`, `shape_mismatch` where sizes disagree, `invalid_argument` for numbers that are no shares,
 *   `index_out_of_range` for a selected head that does not exist.
 *
 * @example
 * ```ts
 * const patterns = cache.get("blocks.1.attn.hook_pattern").get(0); // [head, query, key]
 * attentionPatterns(model.toStrTokens(prompt), patterns, { title: "Layer 1" }).toPage();
 * ```
 */
export function attentionPatterns(
  tokens: readonly string[],
  patterns: Matrices | MatricesOfLayers,
  options: AttentionPatternsOptions = {},
): Picture {
  const what = "attentionPatterns";
  checkOptionKeys(what, options, ["title", "names", "selected"]);
  const { title = "Attention patterns", names, selected = 0 } = options;
  const numbers = readNumbers(what, patterns, [3, 4]);
  checkPattern(what, tokens, numbers.shape, numbers.data);
  const layered = numbers.shape.length === 4;
  const [layers = 0, perLayer = 0] = layered ? numbers.shape : [1, numbers.shape[0]];
  if (names !== undefined) checkNames(`${what}: names`, names, layers * perLayer);
  const side = tokens.length;
  const flat = { shape: [layers * perLayer, side * side], data: numbers.data };
  const heads = Array.from({ length: layers * perLayer }, (_, i): HeadView => {
    const [layer, head] = [Math.floor(i / perLayer), i % perLayer];
    return {
      name: names?.[i] ?? (layered ? `L${layer}H${head}` : `head ${head}`),
      id: `${layer}.${head}`,
      row: layer,
      shares: part(flat, i).data,
    };
  });
  if (!Number.isInteger(selected) || selected < 0 || selected >= Math.max(1, heads.length)) {
    throw hooklensError(
      "index_out_of_range",
      `${what}: selected: there are ${heads.length} heads, got ${selected}`,
      {
        index: selected,
        size: heads.length,
      },
    );
  }
  const view = plainView(tokens, heads, selected, (layer) => (layered ? `layer ${layer}` : ""));
  return new Picture(title, attentionHtml(view));
}

function plainView(
  tokens: readonly string[],
  heads: readonly HeadView[],
  selected: number,
  rowTitle: (row: number) => string,
): AttentionView {
  return { tokens, positions: tokens.map((_, i) => i), heads, selected, leastShare: 0, rowTitle };
}

function checkPattern(
  what: string,
  tokens: readonly string[],
  shape: readonly number[],
  shares: ArrayLike<number>,
): void {
  const [queries = 0, keys = 0] = shape.slice(-2);
  if (queries !== keys) {
    throw hooklensError("shape_mismatch", `${what}: ${queries} queries and ${keys} keys, expected as many`);
  }
  checkNames(`${what}: tokens`, tokens, queries);
  for (let i = 0; i < shares.length; i++) {
    const share = shares[i] ?? 0;
    if (share < -1e-3 || share > 1.001) {
      throw hooklensError(
        "invalid_argument",
        `${what}: expected shares from 0 to 1, got ${share}; heatmap draws any numbers`,
      );
    }
  }
}
