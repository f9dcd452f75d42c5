import { html, type PropertyValues, type TemplateResult } from "lit";
import { type Edit, nameOf, type Target } from "../experiment.ts";
import type { ModelFacts } from "../laboratory.ts";
import { LightElement, walk } from "../light-element.ts";
import { drawPattern } from "./pattern.ts";

/** All heads at a glance, and the other parts of each block: what is chosen here is what edits change. */
export class HeadGrid extends LightElement {
  static override properties = {
    facts: { attribute: false },
    chosen: { attribute: false },
    edits: { attribute: false },
    values: { attribute: false },
    side: { attribute: false },
    strongest: { attribute: false },
  };
  declare facts: ModelFacts | null;
  declare chosen: Target;
  declare edits: readonly Edit[];
  /** `[layer, head, query, key]` shares, or differences of shares. */
  declare values: Float32Array;
  declare side: number;
  /** What is drawn in full colour. */
  declare strongest: number;

  constructor() {
    super();
    this.facts = null;
    this.chosen = { part: "head", layer: 0, head: 0 };
    this.edits = [];
    this.values = new Float32Array();
    this.side = 0;
    this.strongest = 1;
  }

  #choose(target: Target): void {
    this.dispatchEvent(new CustomEvent("target", { detail: target, bubbles: true }));
  }

  #button(target: Target, content: TemplateResult | string): TemplateResult {
    const same = (other: Target) => nameOf(other) === nameOf(target);
    const edited = this.edits.some(same);
    const chosen = same(this.chosen);
    return html`<button type="button" role="radio" data-walk class=${target.part === "head" ? "head" : "part"} ?data-edited=${edited} aria-checked=${chosen ? "true" : "false"} aria-label="${nameOf(target)}${edited ? ", edited" : ""}" tabindex=${chosen ? 0 : -1} @click=${() => this.#choose(target)}>${content}</button>`;
  }

  protected override render(): TemplateResult {
    const { facts } = this;
    if (facts === null) return html``;
    const layers = Array.from({ length: facts.layers }, (_, layer) => layer);
    const heads = Array.from({ length: facts.heads }, (_, head) => head);
    const width = heads.length + (facts.mlp ? 3 : 2);
    return html`<div class="scroll"><table class="heads ${heads.length > 8 ? "many" : ""}" role="radiogroup" aria-label="Heads and parts of the model" @keydown=${(event: KeyboardEvent) => walk(event, this, width, 1)}>
      <tbody role="presentation">
        <tr role="presentation"><th role="presentation" class="soft">input</th><td role="presentation" colspan=${heads.length}>${this.#button({ part: "embedding", layer: 0 }, "embedding")}</td></tr>
        ${layers.map(
          (layer) => html`<tr role="presentation">
            <th role="presentation" class="soft">block ${layer}</th>
            ${heads.map((head) => html`<td role="presentation">${this.#button({ part: "head", layer, head }, html`<canvas data-at="${layer}.${head}" width="1" height="1"></canvas><small>${layer}.${head}</small>`)}</td>`)}
            <td role="presentation">${this.#button({ part: "attention", layer }, "attn")}</td>
            ${facts.mlp ? html`<td role="presentation">${this.#button({ part: "mlp", layer }, "MLP")}</td>` : ""}
            <td role="presentation">${this.#button({ part: "residual", layer }, "resid")}</td>
          </tr>`,
        )}
      </tbody>
    </table></div>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has("values") || changed.has("facts") || changed.has("side")) this.draw();
  }

  /** Draws all patterns again: colours may have changed. */
  draw(): void {
    const size = this.side * this.side;
    const heads = this.facts?.heads ?? 1;
    for (const canvas of this.querySelectorAll("canvas")) {
      const [layer = 0, head = 0] = (canvas.dataset["at"] ?? "").split(".").map(Number);
      const start = (layer * heads + head) * size;
      if (start + size <= this.values.length) {
        drawPattern(canvas, this.values.subarray(start, start + size), this.side, this.strongest);
      }
    }
  }
}
