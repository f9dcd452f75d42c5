/** The attention of all heads on an explanation's page. */

import type { ExplainReport } from "../analysis/explain-report.ts";
import { attentionHtml, type HeadView } from "./attention.ts";
import type { Detail } from "./explain-page.ts";
import { type Html, html } from "./html.ts";
import { percent } from "./numbers.ts";
import { encodePattern } from "./pattern-code.ts";

/** Indices of the positions to show: the first and the last ones. */
function shownOf(count: number, most: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  return count <= most ? all : [0, ...all.slice(1 - most)];
}

/** A head's pattern at some positions, row-major. */
function sharesAt(rows: readonly (readonly number[])[], shown: readonly number[]): Float64Array {
  const shares = new Float64Array(shown.length * shown.length);
  for (const [q, query] of shown.entries()) {
    const row = rows[query] ?? [];
    for (const [k, key] of shown.entries()) shares[q * shown.length + k] = row[key] ?? Number.NaN;
  }
  return shares;
}

/** About how many bytes the attention of a report takes on a page: measured on some heads. */
export function attentionBytes({ patterns }: ExplainReport, detail: Detail): number {
  const shown = shownOf(patterns.positions.length, detail.patternPositions);
  const all = patterns.shares.flat();
  const some = all.filter((_, i) => i % Math.ceil(all.length / 16) === 0);
  const encoded = some.reduce(
    (sum, rows) => sum + encodePattern(sharesAt(rows, shown), detail.leastShare).length,
    0,
  );
  const perHead = 150 + encoded / Math.max(1, some.length);
  return perHead * Math.min(all.length, detail.heads) + 6 * shown.length * shown.length;
}

/** The viewer, with the head that matters most large. */
export function attentionSection(report: ExplainReport, detail: Detail): Html {
  const { patterns, headAblation, attention, tokens } = report;
  const shown = shownOf(patterns.positions.length, detail.patternPositions);
  const positions = shown.map((i) => patterns.positions[i] ?? 0);
  const effectOf = (layer: number, head: number) => headAblation.effects[layer]?.[head] ?? 0;
  const isChosen = (layer: number, head: number) => layer === attention.layer && head === attention.head;
  const all = patterns.shares.flatMap((heads, layer) => heads.map((rows, head) => ({ layer, head, rows })));
  // The chosen head stays, whatever its effect.
  const weight = ({ layer, head }: { layer: number; head: number }) =>
    isChosen(layer, head) ? Number.POSITIVE_INFINITY : Math.abs(effectOf(layer, head));
  const kept = new Set([...all].sort((a, b) => weight(b) - weight(a)).slice(0, detail.heads));
  const heads = all
    .filter((head) => kept.has(head))
    .map(
      ({ layer, head, rows }): HeadView => ({
        name: `L${layer}H${head}`,
        id: `${layer}.${head}`,
        row: layer,
        shares: sharesAt(rows, shown),
        effect: effectOf(layer, head),
      }),
    );
  const selected = heads.findIndex(({ id }) => id === `${attention.layer}.${attention.head}`);
  const viewer = attentionHtml({
    tokens: positions.map((position) => tokens[position]?.text ?? ""),
    positions,
    heads,
    selected: Math.max(0, selected),
    leastShare: detail.leastShare,
    rowTitle: (layer) => `layer ${layer}`,
    effectText: "answer’s logit # without it",
  });
  const cut = positions.length < tokens.length;
  return html`<section id="attention"><h2>Attention</h2><p class="how">Every head, layers down and heads across: choose one to see it large. The bar below a head is its effect in the table above.</p>
${cut ? html`<p class="how">Shown are the first and the last ${positions.length - 1} of ${tokens.length} positions.</p>` : null}${heads.length < all.length ? html`<p class="how">Shown are the ${heads.length} of ${all.length} heads that matter most.</p>` : null}${detail.leastShare > 0.001 ? html`<p class="how">Attention below ${percent(detail.leastShare)} is shown as none.</p>` : null}
${viewer}</section>`;
}
