/** Tables of coloured cells that one can walk through with the arrow keys. Without scripts they are plain tables. */

import { type Html, html, markup } from "./html.ts";

/** A cell: what it says, its colour, and what is said about it when it is looked at (by default what it says). */
export interface GridCell {
  readonly content: string | Html;
  /** One of the classes of `scales.ts`. */
  readonly color: string;
  readonly about?: string;
  /** The head that choosing it shows in the attention viewer, as `2.1`. */
  readonly head?: string;
  readonly chosen?: boolean;
}

/** A row of a grid. */
export interface GridRow {
  readonly title: string | Html;
  readonly cells: readonly GridCell[];
}

/** What a grid shows. */
export interface GridContent {
  /** Names the table for those who do not see it. */
  readonly label: string;
  /** Above the titles of rows. */
  readonly corner: string;
  readonly columns: readonly (string | Html)[];
  readonly rows: readonly GridRow[];
  /** Stands where cells are described until one is looked at. */
  readonly hint: string;
  /** Titles of columns stand upright. */
  readonly upright?: boolean;
  /** Where there is no room for all columns, the last ones are in sight. */
  readonly fromEnd?: boolean;
}

function cellHtml({ content, color, about, head, chosen }: GridCell): Html {
  const names = markup(chosen === true ? `"${color} on"` : color);
  const data = [
    about === undefined ? null : html` data-about="${about}"`,
    head === undefined ? null : html` data-head=${head}`,
  ];
  return html`<td class=${names}${data}>${content}`;
}

/** The grid as markup. End tags that HTML does not need are left out: there are thousands of cells. */
export function gridHtml({ label, corner, columns, rows, hint, upright, fromEnd }: GridContent): Html {
  return html`<hl-grid${fromEnd === true ? html` data-end="1"` : null}><div class="scroll"><table${upright === true ? markup(' class="upright"') : null} aria-label="${label}">
<thead><tr><td class="corner">${corner}</td>${columns.map((title) => html`<th scope="col"><span>${title}</span></th>`)}</tr></thead>
<tbody>
${rows.map(({ title, cells }) => html`<tr><th scope="row">${title}</th>${cells.map(cellHtml)}</tr>\n`)}</tbody></table></div>
<p class="readout" aria-live="off">${hint}</p></hl-grid>`;
}
