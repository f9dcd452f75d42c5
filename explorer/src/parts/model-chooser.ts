import { html, type TemplateResult } from "lit";
import { LightElement } from "../light-element.ts";
import { canOpenFolders, chosenFiles, openFolder } from "../local-files.ts";
import { addressOf, describeModel, type ModelChoice, megabytes } from "../model-choice.ts";
import type { Kept } from "../worker.ts";

/** Models beside those that come with the page: at an address, of this device, or kept from an earlier visit. */
export class ModelChooser extends LightElement {
  static override properties = {
    kept: { attribute: false },
    half: { attribute: false },
    problem: { state: true },
  };
  declare kept: readonly Kept[];
  /** Whether weights are kept in half precision. */
  declare half: boolean;
  /** What is wrong with the address. */
  declare problem: string;

  constructor() {
    super();
    this.kept = [];
    this.half = false;
    this.problem = "";
  }

  #choose(choice: Omit<ModelChoice, "half"> | null): void {
    if (choice === null) return;
    this.problem = "";
    const detail: ModelChoice = { ...choice, half: this.half };
    this.dispatchEvent(new CustomEvent("choose", { detail, bubbles: true }));
  }

  #address(event: Event): void {
    event.preventDefault();
    const input = this.querySelector<HTMLInputElement>("input[name=address]");
    try {
      this.#choose({ model: addressOf(input?.value ?? "", document.baseURI) });
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      input?.focus();
    }
  }

  async #folder(): Promise<void> {
    try {
      this.#choose(await openFolder());
    } catch (error) {
      this.problem = `The folder cannot be opened: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  readonly #files = (event: Event) => {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = "";
    if (files.length > 0) this.#choose(chosenFiles(files));
  };

  #kept(): TemplateResult {
    return html`<h3 id="kept-title">Kept on this device</h3>
      <ul class="edits" aria-labelledby="kept-title">
        ${this.kept.map(({ source, bytes }) => {
          const name = describeModel(source);
          return html`<li>
            <span>${name} <span class="soft">${megabytes(bytes)}</span></span>
            <span class="pair">
              <button type="button" aria-label="Load ${name}" @click=${() => this.#choose({ model: source })}>Load</button>
              <button type="button" aria-label="Delete ${name} from this device" @click=${() => this.dispatchEvent(new CustomEvent("forget", { detail: source, bubbles: true }))}>Delete</button>
            </span>
          </li>`;
        })}
      </ul>`;
  }

  protected override render(): TemplateResult {
    const isWrong = this.problem !== "";
    return html`<form @submit=${(event: Event) => this.#address(event)}>
        <label for="address">Address of a folder, or name on Hugging Face</label>
        <div class="line">
          <input id="address" name="address" type="text" inputmode="url" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="openai-community/gpt2"
            aria-describedby="address-hint" aria-invalid=${isWrong ? "true" : "false"} />
          <button type="submit">Load</button>
        </div>
        <p id="address-hint" class="soft">With <code>config.json</code>, <code>model.safetensors</code> and <code>tokenizer.json</code>. It is kept on this device for the next visit.</p>
      </form>
      ${isWrong ? html`<p role="alert" class="problem">${this.problem}</p>` : ""}
      <div class="actions">
        ${
          canOpenFolders()
            ? html`<button type="button" @click=${() => void this.#folder()}>Open a folder</button>`
            : html`<label class="button">Choose a folder<input type="file" class="hidden" webkitdirectory multiple @change=${this.#files} /></label>`
        }
        <label class="button">Choose files<input type="file" class="hidden" name="files" multiple @change=${this.#files} /></label>
        <span class="soft">or drop them on this page: they are read here and sent nowhere.</span>
      </div>
      <label class="check"><input type="checkbox" .checked=${this.half} @change=${(event: Event) => {
        this.half = (event.target as HTMLInputElement).checked;
      }} /> Weights in half precision: half the memory, slower</label>
      ${this.kept.length === 0 ? "" : this.#kept()}`;
  }
}
