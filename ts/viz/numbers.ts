/** Numbers for people, the same in a terminal and on a page. */

/** `+0.52`, `−1.30`, and ` 0.00` without a sign, so that columns line up and noise does not look like a direction. */
export function signed(value: number, digits = 2): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number.isNaN(value)) return "NaN";
  if (Number(text) === 0) return ` ${text}`;
  return (value < 0 ? "−" : "+") + text;
}

/** Decimals that show three digits of numbers of this size, at least two. */
export function decimalsFor(size: number): number {
  return size > 0 ? Math.min(12, Math.max(2, 2 - Math.floor(Math.log10(size)))) : 2;
}

/** `41.2 %`, and `<0.1 %` rather than a nought that is none. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** Three digits, with an exponent only where there is no other way: `0.0123`, `−4.56`, `789`, `1.2e7`. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return String(value).replace("-", "−").replace("Infinity", "∞");
  const size = Math.abs(value);
  if (size === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
  const text = size >= 1e6 || size < 1e-4 ? size.toExponential(1).replace("e+", "e") : size.toFixed(digits);
  return (value < 0 ? "−" : "") + text;
}
