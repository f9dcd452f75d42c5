/** The report of {@link explain} as one page. */

import type { ExplainReport } from "../analysis/explain-report.ts";
import { requireObject } from "../tensor/arguments.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import { attentionBytes, attentionSection } from "./explain-attention.ts";
import {
  ablationSection,
  attributionSection,
  lensSections,
  nextSection,
  normSection,
} from "./explain-sections.ts";
import { type Html, html } from "./html.ts";
import { percent, signed } from "./numbers.ts";
import { Picture } from "./picture.ts";
import { nameHtml, shortLabel, tokenHtml } from "./token-html.ts";

/** How much of a report a page shows: what does not fit is left out, and the page says so. */
export interface Detail {
  /** Positions in attention patterns. */
  readonly patternPositions: number;
  /** Attention below it is shown as 0. */
  readonly leastShare: number;
  /** Heads in the attention viewer, those with the largest effects. */
  readonly heads: number;
  /** Positions in tables that have one column a position. */
  readonly columns: number;
  /** Tokens in running text. */
  readonly tokens: number;
  /** Cells of the ablation table. */
  readonly cells: number;
}

const details: readonly Detail[] = [
  { patternPositions: 128, leastShare: 0.001, heads: 10_000, columns: 64, tokens: 512, cells: 6000 },
  { patternPositions: 128, leastShare: 0.005, heads: 10_000, columns: 48, tokens: 512, cells: 6000 },
  { patternPositions: 128, leastShare: 0.01, heads: 10_000, columns: 40, tokens: 512, cells: 6000 },
  { patternPositions: 96, leastShare: 0.005, heads: 10_000, columns: 40, tokens: 512, cells: 6000 },
  { patternPositions: 80, leastShare: 0.01, heads: 10_000, columns: 40, tokens: 512, cells: 6000 },
  { patternPositions: 64, leastShare: 0.01, heads: 10_000, columns: 32, tokens: 512, cells: 6000 },
  { patternPositions: 48, leastShare: 0.01, heads: 10_000, columns: 24, tokens: 512, cells: 6000 },
  { patternPositions: 32, leastShare: 0.01, heads: 1024, columns: 16, tokens: 256, cells: 4000 },
  { patternPositions: 24, leastShare: 0.01, heads: 512, columns: 12, tokens: 256, cells: 2048 },
  { patternPositions: 16, leastShare: 0.02, heads: 128, columns: 8, tokens: 128, cells: 1024 },
];

/** What is shown where nothing else fits. */
const least: Detail = {
  patternPositions: 8,
  leastShare: 0.02,
  heads: 16,
  columns: 4,
  tokens: 32,
  cells: 256,
};

/** Settings of {@link explainPicture}. */
export interface ExplainPictureOptions {
  /**
   * The page's size in bytes. Where the report is larger, the page shows fewer positions and heads and says so.
   * @default 300_000
   */
  readonly maxBytes?: number;
}

/**
 * Everything in a report as one page: the next tokens, attribution, logit lens, ablations, attention of all heads,
 * residual norms. {@link Picture.toPage} gives the document that `hooklens explain` writes.
 *
 * @example
 * ```ts
 * const page = explainPicture(explain(model, prompt)).toPage();
 * ```
 */
export function explainPicture(report: ExplainReport, options: ExplainPictureOptions = {}): Picture {
  checkOptionKeys("explainPicture", options, ["maxBytes"]);
  requireObject("explainPicture", "a report of explain", report);
  const { maxBytes = 300_000 } = options;
  const size = (picture: Picture) => new TextEncoder().encode(picture.toPage()).length;
  for (const detail of details) {
    // Most of a page is attention; making a page that is far too large takes long.
    if (attentionBytes(report, detail) > maxBytes) continue;
    const picture = pictureOf(report, detail);
    if (size(picture) <= maxBytes) return picture;
  }
  return pictureOf(report, least);
}

function pictureOf(report: ExplainReport, detail: Detail): Picture {
  const title = `Why “${shortLabel(report.answer.text)}” comes next`;
  return new Picture(
    title,
    html`<main>
${heading(report, detail)}
<nav aria-label="Sections"><a href="#next">Next token</a><a href="#attribution">Attribution</a><a href="#lens">Logit lens</a><a href="#ablation">Ablation</a><a href="#attention">Attention</a><a href="#norms">Residual norms</a></nav>
<div class="pair">${nextSection(report)}${lensSections.last(report)}</div>
${attributionSection(report, detail)}
${lensSections.byPosition(report, detail)}
${ablationSection(report, detail)}
${attentionSection(report, detail)}
${normSection(report, detail)}
</main>`,
    true,
  );
}

/** The first block after which the answer is the best guess, and stays it; null if it is not the best at the end. */
function settledAfter({ logitLens }: ExplainReport): number | null {
  const last = logitLens.findLastIndex((row) => row.answer.rank !== 0);
  return last === logitLens.length - 1 ? null : last + 1;
}

function heading(report: ExplainReport, detail: Detail): Html {
  const { model, answer, tokens, headAblation, attribution } = report;
  const shown = tokens.slice(-detail.tokens);
  const settled = settledAfter(report);
  const blocks = settled === 0 ? "the embedding" : `block ${(settled ?? 0) - 1}`;
  const heads = headAblation.effects.flatMap((row, layer) =>
    row.map((effect, head) => ({ layer, head, effect })),
  );
  const head = heads.reduce((a, b) => (Math.abs(b.effect) > Math.abs(a.effect) ? b : a), {
    layer: 0,
    head: 0,
    effect: 0,
  });
  const strongest = attribution.values.reduce(
    (best, value, i) => (Math.abs(value) > Math.abs(attribution.values[best] ?? 0) ? i : best),
    0,
  );
  return html`<div class="top"><span><b>hooklens</b> explain</span><span>${nameHtml(model.name)} · ${model.nLayers} layers × ${model.nHeads} heads · d_model ${model.dModel} · vocabulary ${model.dVocab}</span></div>
<h1>Why <span class="answerword">${tokenHtml(answer.text)}</span> comes next</h1>
<p class="prompt" aria-label="Prompt and answer">${shown.length < tokens.length ? "… " : null}${shown.map(({ text }) => html`<span>${tokenHtml(text)}</span>`)} <span class="answer">${tokenHtml(answer.text)}</span></p>
<ul class="facts"><li><b>${percent(answer.probability)}</b>${answer.chosenBy === "user" ? `probability of the answer that was asked for, rank ${answer.rank} (0 is the best)` : "probability of the answer, the most likely next token"}</li><li><b>${settled === null ? `rank ${answer.rank}` : `after ${blocks}`}</b>${settled === null ? "of the answer at the end; 0 would be the best guess" : "the answer is the best guess and stays it"}</li><li><b>L${head.layer}H${head.head} ${signed(head.effect).trim()}</b>the head that matters most: the change of the answer’s logit without it</li><li><b>${tokenHtml(tokens[strongest]?.text ?? "")} ${signed(attribution.values[strongest] ?? 0).trim()}</b>the token with the strongest attribution, at position ${strongest}</li></ul>`;
}
