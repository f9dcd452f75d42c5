import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { html, svg, type TemplateResult } from "lit";
import { LightElement } from "../light-element.ts";

const width = 560;
const height = 200;
const margin = { left: 46, right: 14, top: 10, bottom: 28 };

/** How far apart labels are at least, in units of the picture. */
const APART = 16;

/** The ticks of which labels have room: where a logarithmic scale has many, its round ones. */
function labelled(ticks: readonly number[], y: (tick: number) => number): number[] {
  const round = ticks.length > 8 ? ticks.filter((tick) => /^0?\.?0*[125]0*$/.test(String(tick))) : ticks;
  const kept: number[] = [];
  for (const tick of round) {
    const last = kept.at(-1);
    if (last === undefined || Math.abs(y(tick) - y(last)) >= APART) kept.push(tick);
  }
  return kept;
}

/** The length of the residual stream after each block, at one position. */
export class NormChart extends LightElement {
  static override properties = {
    plain: { attribute: false },
    edited: { attribute: false },
    where: { attribute: false },
  };
  /** From the embedding up. */
  declare plain: readonly number[];
  declare edited: readonly number[] | null;
  declare where: string;

  constructor() {
    super();
    this.plain = [];
    this.edited = null;
    this.where = "";
  }

  protected override render(): TemplateResult {
    const all = [...this.plain, ...(this.edited ?? [])].filter((norm) => norm > 0 && Number.isFinite(norm));
    if (all.length === 0) return html``;
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const y = (most > 30 * least ? scaleLog() : scaleLinear())
      .domain([most > 30 * least ? least : 0, most])
      .range([height - margin.bottom, margin.top])
      .nice();
    const x = scaleLinear()
      .domain([0, Math.max(1, this.plain.length - 1)])
      .range([margin.left, width - margin.right]);
    const path = (norms: readonly number[]) =>
      line<number>()
        .defined((norm) => norm > 0 && Number.isFinite(norm))
        .x((_, i) => x(i))
        .y((norm) => y(norm))([...norms]) ?? "";
    const every = Math.ceil(this.plain.length / 10);
    const told = (norms: readonly number[]) => norms.map((norm) => norm.toPrecision(3)).join(", ");
    return html`<p class="keys"><span class="plain">without edits</span>${this.edited ? html` <span class="edited">with edits</span>` : ""}</p>
      <svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Length of the residual stream ${this.where}, from the embedding to the last block: ${told(this.plain)}${this.edited ? `; with edits ${told(this.edited)}` : ""}">
        ${labelled(y.ticks(4), y).map((tick) => svg`<line x1=${margin.left} x2=${width - margin.right} y1=${y(tick)} y2=${y(tick)}></line><text x=${margin.left - 6} y=${y(tick) + 4} text-anchor="end">${String(tick)}</text>`)}
        ${this.plain.map((_, i) => (i % every === 0 ? svg`<text x=${x(i)} y=${height - 8} text-anchor="middle">${i === 0 ? "emb" : i - 1}</text>` : ""))}
        <path class="plain" d=${path(this.plain)}></path>
        ${this.edited ? svg`<path class="edited" d=${path(this.edited)}></path>` : ""}
      </svg>`;
  }
}
