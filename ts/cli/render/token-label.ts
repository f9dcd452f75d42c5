/** Token labels in the columns of a terminal. */

import stringWidth from "string-width";

/** Columns that the text takes in a terminal. */
export function displayWidth(text: string): number {
  return stringWidth(text);
}

/** Cut to at most `width` columns, with `…` where something is missing. */
export function clip(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = "";
  for (const character of text) {
    if (displayWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return width > 0 ? `${kept}…` : "";
}

/** Filled with spaces, or cut, to exactly `width` columns. */
export function toWidth(text: string, width: number, align: "left" | "right" = "left"): string {
  const clipped = clip(text, width);
  const space = " ".repeat(Math.max(0, width - displayWidth(clipped)));
  return align === "left" ? clipped + space : space + clipped;
}
