import type { LoadProgress as Progress } from "hooklens";
import { html, type TemplateResult } from "lit";
import { LightElement } from "../light-element.ts";
import { megabytes } from "../model-choice.ts";

/** How far a model is loaded, and the way out. */
export class LoadProgress extends LightElement {
  static override properties = { name: { attribute: false }, progress: { attribute: false } };
  declare name: string;
  /** Null before the first weights come. */
  declare progress: Progress | null;

  constructor() {
    super();
    this.name = "";
    this.progress = null;
  }

  protected override render(): TemplateResult {
    const { progress } = this;
    const words =
      progress === null
        ? "asking for it"
        : progress.phase === "model"
          ? "making the model"
          : `${megabytes(progress.done)} of ${megabytes(progress.total)} of weights`;
    const bar =
      progress === null
        ? html`<progress aria-label="Loading the model"></progress>`
        : html`<progress aria-label="Loading the model" max="1" .value=${progress.done / Math.max(1, progress.total)}></progress>`;
    return html`<p class="soft loading">Loading ${this.name}: ${words} ${bar}
      <button type="button" @click=${() => this.dispatchEvent(new CustomEvent("cancel", { bubbles: true }))}>Cancel</button></p>`;
  }
}
