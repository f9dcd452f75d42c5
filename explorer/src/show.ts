/** Numbers and tokens as the page writes them, and the classes of the colours in `style.css`. */

/** A token as one visible word. */
export function label(text: string): string {
  if (text === "") return "∅";
  const shown = text.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  return shown.length > 24 ? `${shown.slice(0, 23)}…` : shown;
}

/** `41.2 %` */
export function percent(share: number): string {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** `+0.52`, `−1.30` */
export function signed(value: number, digits = 2): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/** The class of a share from 0 to 1, by its square root: most shares are small. */
export function shareClass(share: number): string {
  return `q${Math.round(10 * Math.sqrt(Math.min(1, Math.max(0, share))))}`;
}

/** Which of the two runs a picture shows. */
export type View = "plain" | "edited" | "difference";
