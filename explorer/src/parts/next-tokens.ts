import { html, svg, type TemplateResult } from "lit";
import type { Change } from "../laboratory.ts";
import { LightElement } from "../light-element.ts";
import { label, percent, signed } from "../show.ts";

/** What the model says comes next, without and with the edits. */
export class NextTokens extends LightElement {
  static override properties = { changes: { attribute: false }, edited: { attribute: false } };
  declare changes: readonly Change[];
  declare edited: boolean;

  constructor() {
    super();
    this.changes = [];
    this.edited = false;
  }

  protected override render(): TemplateResult {
    const largest = Math.max(1e-9, ...this.changes.flatMap(({ before, after }) => [before, after]));
    const bar = (share: number, y: number, name: string) =>
      svg`<rect class=${name} x="0" y=${y} width="${(100 * share) / largest}%" height="7" rx="2"></rect>`;
    return html`<table class="next">
      <caption class="hidden">Most probable next tokens</caption>
      <thead>
        <tr>
          <th scope="col">token</th>
          <th scope="col">${this.edited ? "before" : "probability"}</th>
          ${this.edited ? html`<th scope="col">after</th><th scope="col">logit</th>` : ""}
          <td></td>
        </tr>
      </thead>
      <tbody>
        ${this.changes.map(
          ({ text, before, after, gain }) => html`<tr>
            <th scope="row"><span class="word">${label(text)}</span></th>
            <td>${percent(before)}</td>
            ${this.edited ? html`<td>${percent(after)}</td><td class=${gain < 0 ? "loses" : "gains"}>${signed(gain)}</td>` : ""}
            <td class="fill"><svg height="18" width="100%" aria-hidden="true">${bar(before, this.edited ? 1 : 5, "was")}${this.edited ? bar(after, 10, "is") : ""}</svg></td>
          </tr>`,
        )}
      </tbody>
    </table>`;
  }
}
