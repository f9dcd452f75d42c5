import { html, type TemplateResult } from "lit";
import type { Guess } from "../laboratory.ts";
import { LightElement } from "../light-element.ts";
import { label, percent, shareClass } from "../show.ts";

/** What the model would say next after each block, at each position. */
export class LensTable extends LightElement {
  static override properties = {
    tokens: { attribute: false },
    rows: { attribute: false },
    compared: { attribute: false },
    position: { attribute: false },
  };
  declare tokens: readonly string[];
  /** `[layer + 1][position]` */
  declare rows: readonly (readonly Guess[])[];
  /** The run to compare with, whose other guesses are marked; null for none. */
  declare compared: readonly (readonly Guess[])[] | null;
  declare position: number | null;

  constructor() {
    super();
    this.tokens = [];
    this.rows = [];
    this.compared = null;
    this.position = null;
  }

  protected override render(): TemplateResult {
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Best guesses by block and position"><table class="lens">
      <thead>
        <tr>
          <th scope="col">after</th>
          ${this.tokens.map((text, at) => html`<th scope="col" class=${at === this.position ? "here" : ""}><small>${at}</small> ${label(text)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${this.rows.map(
          (row, blocks) => html`<tr>
            <th scope="row">${blocks === 0 ? "embedding" : `block ${blocks - 1}`}</th>
            ${row.map(({ text, probability }, at) => {
              const was = this.compared?.[blocks]?.[at]?.text;
              const moved = was !== undefined && was !== text;
              return html`<td class="${shareClass(probability)}" ?data-moved=${moved}>${label(text)}<small>${percent(probability)}${moved ? html`<span class="hidden">, was ${label(was)}</span>` : ""}</small></td>`;
            })}
          </tr>`,
        )}
      </tbody>
    </table></div>`;
  }

  protected override updated(): void {
    const view = this.querySelector(".scroll");
    // The last positions matter most.
    if (view !== null && this.position === null) view.scrollLeft = view.scrollWidth;
  }
}
