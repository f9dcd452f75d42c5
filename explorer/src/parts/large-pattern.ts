import { html, type PropertyValues, type TemplateResult } from "lit";
import { LightElement } from "../light-element.ts";
import { label, percent, signed } from "../show.ts";
import { drawPattern } from "./pattern.ts";

/** One head's pattern, large: queries down, keys across. */
export class LargePattern extends LightElement {
  static override properties = {
    tokens: { attribute: false },
    values: { attribute: false },
    name: { attribute: false },
    difference: { attribute: false },
    strongest: { attribute: false },
    readout: { state: true },
  };
  declare tokens: readonly string[];
  /** `[query, key]` shares, or differences of shares. */
  declare values: Float32Array;
  declare name: string;
  declare difference: boolean;
  /** What is drawn in full colour. */
  declare strongest: number;
  declare readout: string;
  #query = 0;
  #key = 0;

  constructor() {
    super();
    this.tokens = [];
    this.values = new Float32Array();
    this.name = "";
    this.difference = false;
    this.strongest = 1;
    this.readout = "";
  }

  #look(query: number, key: number): void {
    const last = this.tokens.length - 1;
    this.#query = Math.max(0, Math.min(last, query));
    this.#key = Math.max(0, Math.min(last, key));
    const value = this.values[this.#query * this.tokens.length + this.#key] ?? 0;
    const name = (at: number) => `${at} ${label(this.tokens[at] ?? "")}`;
    const share = this.difference ? `${signed(100 * value, 1)} points` : percent(value);
    this.readout = `${name(this.#query)} looks at ${name(this.#key)}: ${share}`;
  }

  #point(event: PointerEvent): void {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const part = (at: number, from: number, length: number) =>
      Math.floor(((at - from) / length) * this.tokens.length);
    this.#look(part(event.clientY, box.top, box.height), part(event.clientX, box.left, box.width));
  }

  #walk(event: KeyboardEvent): void {
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.#look(this.#query + step[0], this.#key + step[1]);
  }

  /** What the colours of differences mean. */
  #scale(): TemplateResult | string {
    if (!this.difference) return "";
    if (this.values.every((value) => value === 0)) return "; the edits change nothing here";
    const points = (100 * this.strongest).toPrecision(2);
    return html`, <span class="gains">more</span> or <span class="loses">less</span>; full colour is ${points} points`;
  }

  protected override render(): TemplateResult {
    // More would be too small to read.
    const names = this.tokens.length > 32 ? [] : this.tokens;
    const list = (side: string) =>
      html`<ol class=${side} aria-hidden="true">${names.map((text) => html`<li>${label(text)}</li>`)}</ol>`;
    return html`<figure>
      <figcaption><b>Head ${this.name}</b> <span class="soft">rows look at columns${this.#scale()}</span></figcaption>
      <div class="framed">${list("across")}${list("rows")}
      <canvas class="large" width="1" height="1" tabindex="0" role="img" aria-label="Attention of head ${this.name}; the arrow keys walk through it. ${this.readout}" @pointermove=${this.#point} @keydown=${this.#walk}></canvas></div>
      <p class="soft" aria-live="polite">${this.readout || "Point at the picture, or walk through it with the arrow keys."}</p>
    </figure>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (!changed.has("values")) return;
    this.draw();
    this.readout = "";
  }

  /** Draws again: colours may have changed. */
  draw(): void {
    const canvas = this.querySelector("canvas");
    const side = this.tokens.length;
    if (canvas !== null && this.values.length === side * side)
      drawPattern(canvas, this.values, side, this.strongest);
  }
}
