import { html, type TemplateResult } from "lit";
import { type Action, describeEdit, type Edit, nameOf, type Target } from "../experiment.ts";
import { LightElement } from "../light-element.ts";
import { label } from "../show.ts";

/** What to do with the chosen part at the chosen position, and what is being done. */
export class EditPanel extends LightElement {
  static override properties = {
    target: { attribute: false },
    position: { attribute: false },
    tokens: { attribute: false },
    edits: { attribute: false },
    canPatch: { attribute: false },
    factor: { state: true },
  };
  declare target: Target;
  declare position: number | null;
  declare tokens: readonly string[];
  declare edits: readonly Edit[];
  declare canPatch: boolean;
  declare factor: number;

  constructor() {
    super();
    this.target = { part: "head", layer: 0, head: 0 };
    this.position = null;
    this.tokens = [];
    this.edits = [];
    this.canPatch = false;
    this.factor = 2;
  }

  #tell(kind: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(kind, { detail, bubbles: true }));
  }

  #add(action: Action): void {
    const edit: Edit = {
      ...this.target,
      action,
      ...(action === "scale" ? { factor: this.factor } : {}),
      ...(this.position === null ? {} : { position: this.position }),
    };
    this.#tell("edit", edit);
  }

  protected override render(): TemplateResult {
    const where =
      this.position === null
        ? "at all positions"
        : `at position ${this.position} ${label(this.tokens[this.position] ?? "")}`;
    return html`<p><b>${nameOf(this.target)}</b> ${where}</p>
      <div class="actions">
        <button type="button" @click=${() => this.#add("zero")}>Zero</button>
        <span class="pair">
          <button type="button" @click=${() => this.#add("scale")}>Scale by</button>
          <input type="number" step="any" aria-label="Factor" .value=${String(this.factor)} @change=${(
            event: Event,
          ) => {
            const value = (event.target as HTMLInputElement).valueAsNumber;
            if (Number.isFinite(value)) this.factor = value;
          }} />
        </span>
        <button type="button" ?disabled=${!this.canPatch} @click=${() => this.#add("patch")}>Patch from second prompt</button>
      </div>
      <h3 id="edits-title">Edits</h3>
      ${
        this.edits.length === 0
          ? html`<p class="soft">None yet. Choose a head or another part, a token if it is about one position, and what to do with it.</p>`
          : html`<ul class="edits" aria-labelledby="edits-title">
            ${this.edits.map((edit, at) => {
              const text = describeEdit(edit, this.tokens.map(label));
              return html`<li><span>${text}</span> <button type="button" aria-label="Remove ${text}" @click=${() => this.#tell("remove", at)}>×</button></li>`;
            })}
          </ul>`
      }
      <div class="actions">
        <button type="button" ?disabled=${this.edits.length === 0} @click=${() => this.#tell("clear", null)}>Remove all</button>
        <button type="button" @click=${() => this.#tell("export", null)}>Export JSON</button>
        <label class="button">Import JSON<input type="file" class="hidden" accept="application/json,.json" @change=${(
          event: Event,
        ) => {
          const input = event.target as HTMLInputElement;
          const file = input.files?.[0];
          if (file) this.#tell("import", file);
          input.value = "";
        }} /></label>
        <button type="button" @click=${() => this.#tell("share", null)}>Copy link</button>
      </div>`;
  }
}
