/** The report of {@link explain} as one page. */

import type { ExplainReport } from "../analysis/explain-report.ts";
import { hooklensError } from "../engine/errors.ts";
import type { Progress } from "../models/forward-options.ts";
import { requireFunction, requireObject } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
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
  /** Positions in tables of layers by positions. */
  readonly columns: number;
  /** Cells of such a table: first positions, then layers give way. */
  readonly lensCells: number;
  /** Tokens in running text. */
  readonly tokens: number;
  /** Cells of the ablation table. */
  readonly cells: number;
}

const most: Detail = {
  patternPositions: 128,
  leastShare: 0.001,
  heads: 10_000,
  columns: 64,
  lensCells: 900,
  tokens: 512,
  cells: 6000,
};

const details: readonly Detail[] = [
  most,
  { ...most, leastShare: 0.005, columns: 48, lensCells: 650 },
  { ...most, leastShare: 0.01, columns: 40, lensCells: 520 },
  { ...most, patternPositions: 96, leastShare: 0.005, columns: 40, lensCells: 520 },
  { ...most, patternPositions: 80, leastShare: 0.01, columns: 40, lensCells: 520 },
  { ...most, patternPositions: 64, leastShare: 0.01, columns: 32, lensCells: 420 },
  { ...most, patternPositions: 48, leastShare: 0.01, columns: 24, lensCells: 400 },
  {
    patternPositions: 32,
    leastShare: 0.01,
    heads: 1024,
    columns: 16,
    lensCells: 400,
    tokens: 256,
    cells: 4000,
  },
  {
    patternPositions: 24,
    leastShare: 0.01,
    heads: 512,
    columns: 12,
    lensCells: 400,
    tokens: 256,
    cells: 2048,
  },
  {
    patternPositions: 16,
    leastShare: 0.02,
    heads: 128,
    columns: 8,
    lensCells: 300,
    tokens: 128,
    cells: 1024,
  },
];

/** Half of everything, down to the first and the last of each. */
function halved(detail: Detail): Detail {
  const half = (count: number) => Math.max(2, Math.floor(count / 2));
  return {
    patternPositions: half(detail.patternPositions),
    leastShare: detail.leastShare,
    heads: half(detail.heads),
    columns: half(detail.columns),
    lensCells: half(detail.lensCells),
    tokens: half(detail.tokens),
    cells: half(detail.cells),
  };
}

/** Settings of {@link explainPicture}. */
export interface ExplainPictureOptions {
  /**
   * The page's size in bytes. Where the report is larger, the page shows fewer positions, heads and layers and says so.
   * Styles, script and what always stays take 30,000 to 60,000.
   * @default 300_000
   */
  readonly maxBytes?: number;
  /**
   * Called before each level of detail that is tried, and at the end: `total` is how many levels there are. What it
   * throws ends the work.
   */
  readonly onProgress?: (progress: Progress) => void;
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
  checkOptionKeys("explainPicture", options, ["maxBytes", "onProgress"]);
  requireReport(report);
  const { maxBytes = 300_000, onProgress } = options;
  if (typeof maxBytes !== "number" || !(maxBytes > 0)) {
    throw hooklensError("invalid_argument", `maxBytes: expected a number above 0, got ${describe(maxBytes)}`);
  }
  if (onProgress !== undefined) requireFunction("onProgress", onProgress);
  const picture = fittingPicture(report, maxBytes, (done) => onProgress?.({ done, total: details.length }));
  onProgress?.({ done: details.length, total: details.length });
  return picture;
}

/** The picture with the most detail that fits; `tell` is told how many levels did not. */
function fittingPicture(report: ExplainReport, maxBytes: number, tell: (tried: number) => void): Picture {
  const size = (picture: Picture) => new TextEncoder().encode(picture.toPage()).length;
  for (const [tried, detail] of details.entries()) {
    tell(tried);
    // Most of a page is attention; making a page that is far too large takes long.
    if (attentionBytes(report, detail) > maxBytes) continue;
    const picture = pictureOf(report, detail);
    if (size(picture) <= maxBytes) return picture;
  }
  let detail = details.at(-1) ?? most;
  let picture = pictureOf(report, detail);
  while (size(picture) > maxBytes && detail.tokens > 2) {
    detail = halved(detail);
    picture = pictureOf(report, detail);
  }
  return picture;
}

/** Throws unless this has the parts of a report: it may have come from a file. */
function requireReport(report: ExplainReport): void {
  const form = "a report of explain";
  requireObject("explainPicture", form, report);
  const parts = ["model", "answer", "headAblation", "attention", "patterns", "residualNorms", "attribution"];
  const lists = ["tokens", "next", "logitLens"];
  const { headAblation, patterns, residualNorms, attribution } = report;
  const whole =
    report.version === 1 &&
    parts.every((part) => isObject(Reflect.get(report, part))) &&
    lists.every((list) => Array.isArray(Reflect.get(report, list))) &&
    isTable(headAblation.effects) &&
    isTable(residualNorms.values) &&
    Array.isArray(attribution.values) &&
    Array.isArray(patterns.positions) &&
    isTable(patterns.shares) &&
    patterns.shares.every((heads) => heads.every((rows) => isTable(rows))) &&
    [report.answer, ...report.tokens, ...report.next].every((token) => typeof token?.text === "string") &&
    report.logitLens.every(
      (row) => isObject(row?.answer) && Array.isArray(row.top) && Array.isArray(row.best),
    );
  if (whole) return;
  throw hooklensError("invalid_argument", `explainPicture: expected ${form}, got ${describe(report)}`);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/** Whether this is a list of lists. */
function isTable(value: readonly (readonly unknown[])[]): boolean {
  return Array.isArray(value) && value.every((row) => Array.isArray(row));
}

function pictureOf(report: ExplainReport, detail: Detail): Picture {
  const title = `Why “${shortLabel(report.answer.text)}” comes next`;
  return new Picture(
    title,
    html`<main>
${heading(report, detail)}
<nav aria-label="Sections"><a href="#next">Next token</a><a href="#attribution">Attribution</a><a href="#lens">Logit lens</a><a href="#ablation">Ablation</a><a href="#attention">Attention</a><a href="#norms">Residual norms</a></nav>
<div class="pair">${nextSection(report)}${lensSections.last(report, detail)}</div>
${attributionSection(report, detail)}
${lensSections.byPosition(report, detail)}
${ablationSection(report, detail)}
${attentionSection(report, detail)}
${normSection(report, detail)}
</main>`,
    true,
  );
}

/** A model's name, which may be a long path: then its end. */
function shortName(name: string): string {
  const characters = [...name];
  return characters.length <= 120 ? name : `…${characters.slice(-119).join("")}`;
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
  return html`<div class="top"><span><b>hooklens</b> explain</span><span>${nameHtml(shortName(model.name))} · ${model.nLayers} layers × ${model.nHeads} heads · d_model ${model.dModel} · vocabulary ${model.dVocab}</span></div>
<h1>Why <span class="answerword">${tokenHtml(answer.text)}</span> comes next</h1>
<p class="prompt" aria-label="Prompt and answer">${shown.length < tokens.length ? "… " : null}${shown.map(({ text }) => html`<span>${tokenHtml(text)}</span>`)} <span class="answer">${tokenHtml(answer.text)}</span></p>
<ul class="facts"><li><b>${percent(answer.probability)}</b>${answer.chosenBy === "user" ? `probability of the answer that was asked for, rank ${answer.rank} (0 is the best)` : "probability of the answer, the most likely next token"}</li><li><b>${settled === null ? `rank ${answer.rank}` : `after ${blocks}`}</b>${settled === null ? "of the answer at the end; 0 would be the best guess" : "the answer is the best guess and stays it"}</li><li><b>L${head.layer}H${head.head} ${signed(head.effect).trim()}</b>the head that matters most: the change of the answer’s logit without it</li><li><b>${tokenHtml(tokens[strongest]?.text ?? "")} ${signed(attribution.values[strongest] ?? 0).trim()}</b>the token with the strongest attribution, at position ${strongest}</li></ul>`;
}
