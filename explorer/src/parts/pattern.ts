/** Attention patterns on a canvas: shares from 0 to 1 inked on what is behind, differences in two colours. */

function colorOf(canvas: HTMLCanvasElement, name: string): [number, number, number] {
  const text = getComputedStyle(canvas).getPropertyValue(name).trim();
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
  return [r, g, b];
}

/** The largest share or difference, which is drawn in full colour; at least so much that rounding stays invisible. */
export function strongestOf(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-4);
}

/** Draws `[query, key]` shares, or differences of shares, one pixel each; `strongest` in full colour. */
export function drawPattern(
  canvas: HTMLCanvasElement,
  values: Float32Array,
  side: number,
  strongest: number,
): void {
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  if (context === null) return;
  const [more, less] = [colorOf(canvas, "--more"), colorOf(canvas, "--less")];
  const image = context.createImageData(side, side);
  for (const [i, value] of values.entries()) {
    const strength = Math.round(255 * Math.sqrt(Math.min(1, Math.abs(value) / strongest)));
    image.data.set([...(value < 0 ? less : more), strength], 4 * i);
  }
  context.putImageData(image, 0, 0);
}
