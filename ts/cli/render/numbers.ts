/** `+0.52`, `−1.30`, and ` 0.00` without a sign, so that columns line up and noise does not look like a direction. */
export function signed(value: number, digits = 2): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number.isNaN(value)) return "NaN";
  if (Number(text) === 0) return ` ${text}`;
  return (value < 0 ? "−" : "+") + text;
}

/** `41.2 %`, and `<0.1 %` rather than a nought that is none. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}
