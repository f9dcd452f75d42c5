/** Keys to the colour scales. */

import { type Html, html } from "./html.ts";
import { signed } from "./numbers.ts";

/** The key to a diverging scale, its ends with so many decimals. */
export function divergingLegend(largest: number, lower: string, higher: string, decimals = 2): Html {
  const steps = ["n5", "n4", "n3", "n2", "n1", "z", "p1", "p2", "p3", "p4", "p5"];
  return legend(
    steps,
    `${lower} ${signed(-largest, decimals).trim()}`,
    `${signed(largest, decimals).trim()} ${higher}`,
  );
}

/** The key to a sequential scale. */
export function sequentialLegend(least: string, most: string): Html {
  return legend(
    Array.from({ length: 11 }, (_, step) => `q${step}`),
    least,
    most,
  );
}

function legend(steps: readonly string[], from: string, to: string): Html {
  const swatches = steps.map((name) => html`<i class=${name}></i>`);
  return html`<p class="legend"><span>${from}</span><span class="swatches" aria-hidden="true">${swatches}</span><span>${to}</span></p>`;
}
