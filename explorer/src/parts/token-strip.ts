import { html, type TemplateResult } from "lit";
import { LightElement, walk } from "../light-element.ts";
import { label, percent, shareClass } from "../show.ts";

/** The tokens of the prompt: choosing one makes it the place of edits, choosing it again all of them. */
export class TokenStrip extends LightElement {
  static override properties = {
    tokens: { attribute: false },
    position: { attribute: false },
    shares: { attribute: false },
    head: { attribute: false },
  };
  declare tokens: readonly string[];
  /** The chosen position; null for all. */
  declare position: number | null;
  /** How much the chosen position (or the last) looks at each, by the chosen head; null if there is none. */
  declare shares: readonly number[] | null;
  declare head: string;

  constructor() {
    super();
    this.tokens = [];
    this.position = null;
    this.shares = null;
    this.head = "";
  }

  #choose(at: number): void {
    const detail = this.position === at ? null : at;
    this.dispatchEvent(new CustomEvent("position", { detail, bubbles: true }));
  }

  protected override render(): TemplateResult {
    const from = this.position ?? this.tokens.length - 1;
    const strongest = (this.shares ?? [])
      .map((share, at) => ({ share, at }))
      .filter(({ share }) => share > 0)
      .sort((a, b) => b.share - a.share)
      .slice(0, 3)
      .map(({ share, at }) => `${at} ${label(this.tokens[at] ?? "")} ${percent(share)}`);
    return html`<div class="strip" role="toolbar" aria-label="Tokens of the prompt" @keydown=${(event: KeyboardEvent) => walk(event, this, 1)}>
        ${this.tokens.map((text, at) => {
          const share = this.shares?.[at];
          const color = share === undefined ? "q0" : shareClass(share);
          return html`<button type="button" data-walk class="token ${color}" aria-pressed=${this.position === at ? "true" : "false"} tabindex=${at === from ? 0 : -1} @click=${() => this.#choose(at)}><small>${at}</small>${label(text)}</button>`;
        })}
      </div>
      <p class="soft" aria-live="polite">
        ${this.shares === null ? "" : `By head ${this.head}, ${from} ${label(this.tokens[from] ?? "")} looks at ${strongest.join(", ") || "nothing"}.`}
      </p>`;
  }
}
